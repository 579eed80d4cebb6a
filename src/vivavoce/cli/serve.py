"""vivavoce serve"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from vivavoce import settings
from vivavoce.cli.main import own_name

log = logging.getLogger(__name__)


@click.command("serve")
@click.argument("folders", nargs=-1, required=True, metavar="AGENT_DIR...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
@click.option("--data", help="Folder of the database and recordings.")
@click.option("--database", help="sqlite:///PATH or postgresql://HOST/NAME; SQLite in the data folder when left out.")
@click.option("--recordings", help="Where recordings are kept.")
@click.option("--model", help="local, scripted:FILE or PROVIDER:MODEL.")
@click.option("--no-reload", is_flag=True, help="Do not follow changes of the folders.")
@click.option("--show-key", "is_showing", is_flag=True, help="Print the API key even where the output is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print the address and the key as one line of JSON.")
def command(
    folders: tuple[str, ...], host: str, port: int, data: str | None, database: str | None, recordings: str | None,
    model: str | None, no_reload: bool, is_showing: bool, as_json: bool,
) -> None:  # fmt: skip
    """Serve agent folders over HTTP. Saving a file reloads the draft."""
    from vivavoce.cli import logs  # noqa: PLC0415
    from vivavoce.cli.loop import run  # noqa: PLC0415  # not needed for --help
    from vivavoce.cli.server import serve  # noqa: PLC0415

    config = settings.load(data=data, database=database, recordings=recordings, model=model)
    logs.configure(config)
    paths = tuple(Path(folder) for folder in folders)
    is_new = config.api_key is None and not (config.data / "api-key").is_file()
    is_shown = is_showing or is_new or sys.stdout.isatty()  # else it would stand in somebody's logs

    def announce(started: Any, address: str) -> None:
        agents = [s.agent_id for s in started.services.deployments.served]
        if as_json:
            click.echo(
                json.dumps(
                    {"address": address, "apiKey": started.api_key, "agents": agents, "model": started.model.name}
                )
            )
            return
        told = f"vivavoce serves {', '.join(agents)} with the model {started.model.name}"
        if config.log_format == "json":
            log.info("%s at %s", told, address)
            return
        key = started.api_key if is_shown else "$VIVAVOCE_API_KEY"
        kept = f"that of {config.data / 'api-key'}" if config.api_key is None else "that of VIVAVOCE_API_KEY"
        click.echo(f"{told}.\n")
        click.echo(f"  Console  {address}/console/sign-in" + (f"#key={key}" if is_shown else ""))
        click.echo(f"  Address  {address}")
        click.echo(f"  API key  {key if is_shown else kept}")
        click.echo(f"  API      {address}/docs\n")
        click.echo("Try it:\n")
        quoted = f"'X-API-KEY: {key}'" if is_shown else f'"X-API-KEY: {key}"'
        click.echo(f"  curl -s {address}/v1/agents/{agents[0]}/debug-chat \\\n    -H {quoted} \\")
        click.echo("    -H 'Content-Type: application/json' -d '{\"clientEnv\": \"sandbox\"}'\n")
        click.echo("Then say something, with the conversationId of the reply:\n")
        click.echo(f"  curl -s {address}/v1/agents/{agents[0]}/debug-chat/CONVERSATION_ID \\\n    -H {quoted} \\")
        click.echo(
            '    -H \'Content-Type: application/json\' -d \'{"clientEnv": "sandbox", "message": "When are you open?"}\'\n'
        )
        click.echo(f"Or talk in another terminal:  {own_name()} chat {folders[0]} --url {address} --api-key {key}")
        click.echo(f"Or let a script be the caller: {own_name()} call {folders[0]} --script FILE --data OTHER_FOLDER")
        for served in started.services.deployments.served:
            for fault in served.loaded.faults:
                click.echo(f"  {fault.severity}: {fault.path}:{fault.line}: {fault.message}", err=True)

    run(serve(config, paths, host=host, port=port, is_reloading=not no_reload, announce=announce))
