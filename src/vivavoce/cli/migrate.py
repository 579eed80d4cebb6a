"""vivavoce migrate"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import click

from vivavoce import settings
from vivavoce.errors import UsageError


@click.command("migrate")
@click.option("--data", help="Folder of the database and recordings.")
@click.option("--database", help="sqlite:///PATH or postgresql://HOST/NAME; the one to bring to this version.")
@click.option("--from", "source", help="sqlite:///PATH whose whole record is moved into the database, which is empty.")
@click.option("--finish", is_flag=True, help="Also what has to wait until no process of the version before is left.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(data: str | None, database: str | None, source: str | None, finish: bool, as_json: bool) -> None:
    """Bring a database to this version, or move a record from SQLite to PostgreSQL.

    Processes of the version before may go on meanwhile; `--finish` once they are gone. Servers migrate by themselves
    when they start, where their database user may make tables.
    """
    from vivavoce.cli.loop import run  # noqa: PLC0415  # not needed for --help
    from vivavoce.wiring import migrating  # noqa: PLC0415

    if source is not None:
        if not source.startswith("sqlite:///"):
            raise UsageError(f"--from is {source!r}; it should be sqlite:///PATH.")
        path = Path(source.removeprefix("sqlite:///"))
        if not path.is_file():
            raise UsageError(f"There is no database {path}.")
        config = settings.load(data=data or path.parent, database=database)  # where the sealing key is
        moved = run(_move(config, path))
        if as_json:
            click.echo(json.dumps({"rows": moved}))
        else:
            click.echo(
                f"Moved {moved['conversations']:,} conversations with {moved['turns']:,} turns, and compared every row."
            )
            click.echo("Recordings stay where they are (VIVAVOCE_RECORDINGS); give every process the same sealing key.")
        return
    config = settings.load(data=data, database=database)
    done = run(migrating.migrate(config, is_last=finish))
    if as_json:
        click.echo(json.dumps({"migrations": done}))
    else:
        click.echo(f"Brought to {done[-1]}." if done else "The database is at this version already.")


async def _move(config: settings.Settings, path: Path) -> dict[str, int]:
    from vivavoce.cli.progress import progress  # noqa: PLC0415
    from vivavoce.cli.server import OwnerLock  # noqa: PLC0415
    from vivavoce.wiring import migrating  # noqa: PLC0415

    lock = OwnerLock(path.parent)  # whoever serves it goes on writing
    lock.take("")
    try:
        with contextlib.ExitStack() as bars:

            def bar(title: str) -> Callable[[int], Callable[[int], None]]:
                return lambda total: bars.enter_context(progress(title, total))

            return await migrating.move(config, path, begun=bar("Moving"), checking=bar("Comparing"))
    finally:
        lock.give_back()
