"""vivavoce checkout"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import click

from vivavoce.cli import versions
from vivavoce.cli.asking import ask, connection, fetch
from vivavoce.errors import UsageError

MOST_BYTES = 64 << 20  # of a folder


@click.command("checkout")
@click.argument("version")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--conversation", "is_conversation", is_flag=True, help="VERSION is a conversation: the version it went by."
)
@versions.agent_option
@connection
@versions.json_option
def command(version: str, folder: Path, is_conversation: bool, agent: str | None, as_json: bool, **where: Any) -> None:
    """Write the folder of VERSION to DIR, which must be empty or not there yet."""
    agent = versions.agent_of(agent)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty; name a new folder.")
    if is_conversation:
        path = f"/v1/agents/{quote(agent, safe='')}/conversations/{quote(version, safe='')}"
        version = ask(where, "GET", path)["deploymentId"]
    files = _files(fetch(where, versions.path_of(agent, version, "files")))
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": sorted(files)}))
    else:
        click.echo(f"{len(files)} files in {folder}.")


def _files(packed: bytes) -> dict[str, bytes]:
    """All of them before one is written. Raises UsageError for names that lead out of the folder."""
    from vivavoce.project import layout  # noqa: PLC0415  # not needed for --help

    found = {}
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if sum(item.file_size for item in archive.infolist()) > MOST_BYTES:
            raise UsageError("The version is larger than a folder may be.")
        for item in archive.infolist():
            path = PurePosixPath(item.filename)
            if path.is_absolute() or ".." in path.parts or not layout.belongs(item.filename):
                raise UsageError(f"The server names a file that no agent has: {versions.plain(item.filename)}.")
            found[item.filename] = archive.read(item)
    return found
