"""vivavoce chat"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from vivavoce import settings
from vivavoce.errors import UsageError, VivavoceError


@click.command("chat")
@click.argument("folder", required=False, metavar="[AGENT_DIR]")
@click.option("--url", envvar="VIVAVOCE_URL", help="A running server; without it the agent runs here.")
@click.option("--api-key", envvar="VIVAVOCE_API_KEY", help="The key to send to the server.")
@click.option("--agent", help="The agent's id on the server; read from AGENT_DIR otherwise.")
@click.option(
    "-m", "--message", "messages", multiple=True, help="Send this message and go on; may be given again and again."
)
@click.option("--json", "as_json", is_flag=True, help="Print each reply as one line of JSON.")
@click.option("--variant", help="The variant to begin with.")
@click.option("--lang", help="Language tag, such as en-GB.")
@click.option("--env", "environment", default="sandbox", show_default=True, help="sandbox, pre-release, live or draft.")
@click.option("--channel", help="chat.polyai unless you say otherwise.")
@click.option("--caller", help="The caller's number.")
@click.option("--trace", is_flag=True, help="Show flow, step, calls, state changes and topics of each turn.")
@click.option("--model", help="local, scripted:FILE or PROVIDER:MODEL.")
@click.option("--data", help="Folder of the database.")
def command(
    folder: str | None, url: str | None, api_key: str | None, agent: str | None, messages: tuple[str, ...], as_json: bool,
    variant: str | None, lang: str | None, environment: str, channel: str | None, caller: str | None, trace: bool,
    model: str | None, data: str | None,
) -> None:  # fmt: skip
    """Talk to an agent. An empty line is silence; /quit or Ctrl-D ends."""
    from vivavoce.cli.loop import run  # noqa: PLC0415  # not needed for --help

    config = settings.load(data=data, model=model)
    if folder is None and url is None:
        raise click.UsageError("Name the agent's folder, or a server with --url.")
    opening = {
        "clientEnv": environment, "variantId": variant, "asrLangCode": lang, "ttsLangCode": lang, "channel": channel, "callerNumber": caller,
    }  # fmt: skip
    opening = {name: value for name, value in opening.items() if value is not None}
    if url is not None:
        from vivavoce.cli.local import stored_key  # noqa: PLC0415

        key = api_key or stored_key(config)
        if not key:
            raise UsageError("Give the server's key with --api-key or VIVAVOCE_API_KEY.")
        run(_remote(url, key, agent or _agent_of(folder), opening, environment, messages, as_json, trace))
    else:
        assert folder is not None
        run(
            _here(config, Path(folder), opening, environment, messages, as_json, trace, has_own_model=model is not None)
        )


def _agent_of(folder: str | None) -> str:
    if folder is None:
        raise click.UsageError("Name the agent with --agent.")
    from vivavoce.project.loader import load  # noqa: PLC0415
    from vivavoce.project.tree import read_tree  # noqa: PLC0415

    return load(read_tree(Path(folder)), name=Path(folder).resolve().name).agent.identity.agent_id


async def _remote(
    url: str,
    key: str,
    agent: str,
    opening: dict[str, Any],
    environment: str,
    messages: tuple[str, ...],
    as_json: bool,
    trace: bool,
) -> None:
    from vivavoce.cli.local import Remote  # noqa: PLC0415

    async with Remote(url, key) as server:

        async def send(conversation: str | None, message: str, on_interim: Any = None) -> dict[str, Any]:
            base = f"/v1/agents/{agent}/debug-chat"
            if conversation is None:
                return await server.post(base, opening)
            return await server.post(f"{base}/{conversation}", {"clientEnv": environment, "message": message})

        await _talk(send, messages, as_json, trace)


async def _here(
    config: settings.Settings,
    folder: Path,
    opening: dict[str, Any],
    environment: str,
    messages: tuple[str, ...],
    as_json: bool,
    trace: bool,
    *,
    has_own_model: bool,
) -> None:
    """Through the server that owns the data folder when it serves this agent; else in this process."""
    from vivavoce.cli.local import Remote, owned, server_of, stored_key  # noqa: PLC0415

    address = server_of(config)
    if address is not None:
        if has_own_model:
            raise UsageError(
                f"A server at {address} has {config.data} and answers with its own model; leave --model out, or give this command its own --data."
            )
        click.echo(f"Talking through the server at {address}.", err=True)
        agent = _agent_of(str(folder))
        key = stored_key(config)
        try:
            async with Remote(address, key) as server:
                await server.post(f"/v1/agents/{agent}/debug-chat", {**opening, "clientEnv": "unknown"})
        except UsageError as error:
            if "clientEnv" not in error.message:
                raise UsageError(
                    f"A server at {address} has {config.data} and does not serve {agent!r}; give this command its own --data."
                ) from None
        await _remote(address, key, agent, opening, environment, messages, as_json, trace)
        return
    async with owned(config, (folder,)) as started:
        agent = started.services.deployments.served[0].agent_id
        await _talk(_sender(started.services.chats, agent, opening, environment), messages, as_json, trace)
        await started.work.run_due()  # the end function, when the conversation ended


def _sender(chats: Any, agent: str, opening: dict[str, Any], environment: str) -> Any:
    """Sends a line in this process, and tells of the words that are said while the agent is busy."""
    from vivavoce.engine.progress import InterimSpoken  # noqa: PLC0415
    from vivavoce.service.chats import Opening, Said, Taken  # noqa: PLC0415
    from vivavoce.service.keys import OPERATOR  # noqa: PLC0415
    from vivavoce.wire.chat import debug_chat, encode  # noqa: PLC0415

    async def send(conversation: str | None, message: str, on_interim: Any = None) -> dict[str, Any]:
        if conversation is None:
            begin = Opening(
                environment=environment,
                variant=opening.get("variantId"),
                channel=opening.get("channel"),
                asr_language=opening.get("asrLangCode"),
                tts_language=opening.get("ttsLangCode"),
                caller_number=opening.get("callerNumber"),
            )
            progresses = chats.opening(OPERATOR, agent, begin)
        else:
            said = Said(text=message, environment=environment)
            progresses = chats.responding(OPERATOR, agent, conversation, said)
        taken: Taken | None = None
        async for progress in progresses:
            if isinstance(progress, InterimSpoken) and on_interim is not None:
                on_interim(progress.text)
            elif isinstance(progress, Taken):
                taken = progress
        assert taken is not None
        found: dict[str, Any] = json.loads(
            encode(debug_chat(taken.conversation, taken.turn, taken.snapshot, taken.metrics))
        )
        return found

    return send


async def _talk(send: Any, messages: tuple[str, ...], as_json: bool, trace: bool) -> None:
    from vivavoce.cli.screen import Screen  # noqa: PLC0415  # rich is slow to load

    screen = Screen(as_json=as_json, has_trace=trace)
    conversation: str | None = None
    pending = list(messages)
    is_scripted = bool(messages)
    message = ""
    while True:
        with screen.thinking():
            try:
                reply = await send(conversation, message, screen.interim)
            except VivavoceError as error:
                if conversation is None or is_scripted:
                    raise
                screen.problem(error.message)
                reply = None
        if reply is not None:
            conversation = reply["conversationId"]
            screen.show(reply)
            if reply["conversationEnded"]:
                if pending:
                    click.echo(
                        f"vivavoce: the conversation ended before {len(pending)} more message(s) could be sent.",
                        err=True,
                    )
                screen.end(conversation)
                return
        if is_scripted:
            if not pending:
                screen.end(conversation)
                return
            message = pending.pop(0)
            screen.echo(message)
            continue
        line = await _read_line(screen)
        if line is None:
            screen.end(conversation)
            return
        message = line


async def _read_line(screen: Any) -> str | None:
    import asyncio  # noqa: PLC0415

    try:
        line: str = await asyncio.to_thread(screen.ask)
    except (EOFError, KeyboardInterrupt):
        return None
    if line.strip() in ("/quit", "/exit"):
        return None
    if line.strip() == "/help":
        click.echo("An empty line is silence. /quit or Ctrl-D ends. Everything else is said to the agent.")
        return await _read_line(screen)
    if not sys.stdin.isatty():
        screen.echo(line)
    return line
