"""vivavoce conversations"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click
import msgspec

from vivavoce.cli.asking import ask, connection, fetch, pieces, stream
from vivavoce.cli.progress import progress

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_agent = click.option("--agent", required=True, help="The agent's id.")
_TYPES = ("missing_topic", "wrong_transcript", "wrong_info", "good_response", "bad_response", "other")
_REASONS = ("too_general", "too_specific", "incorrect_handoff", "too_long", "hallucination")
_WIDEST = 60  # characters of a heading
WIDE = 110  # columns of a terminal, from which on a conversation is one line


@click.group("conversations")
def command() -> None:
    """List, read, search, annotate, note and erase conversations: of a server, or of the local data folder."""


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filters of the API's list, under the same names with dashes."""
    for option in reversed((
        click.option("--since", help="Begun at this time or later, such as 2026-01-31."),
        click.option("--until", help="Begun before this time."),
        click.option("--env", multiple=True, help="Run in this environment; may be given again."),
        click.option("--channel", multiple=True, help="Held on this channel, such as VOICE-SIP."),
        click.option("--variant", multiple=True, help="Begun as this variant."),
        click.option("--tag", multiple=True, help="With this tag."),
        click.option("--function", "functions", multiple=True, help="In which this function ran."),
        click.option("--metric", multiple=True, help="With this metric: NAME or NAME:VALUE."),
        click.option("--contact", multiple=True, help="From or to this number or address."),
        click.option("--handoff/--no-handoff", default=None, help="Handed off, or not."),
        click.option("--in-progress/--ended", default=None, help="Still going on, or ended."),
        click.option("--min-score", type=click.IntRange(1, 5), help="Scored so much or more."),
        click.option("--max-score", type=click.IntRange(1, 5), help="Scored so much or less."),
        click.option("--min-duration", type=click.IntRange(0), help="Of so many seconds or more."),
        click.option("--sort", help="startedAt, duration or polyScore; with - for descending."),
    )):  # fmt: skip
        function = option(function)
    return function


_NAMES = {
    "since": "startTime", "until": "endTime", "env": "clientEnv", "channel": "channel", "variant": "variantId", "tag": "tag",
    "functions": "function", "metric": "metric", "contact": "contact", "handoff": "handoff", "in_progress": "inProgress",
    "min_score": "minScore", "max_score": "maxScore", "min_duration": "minDuration", "sort": "sort",
}  # fmt: skip


def _query(options: dict[str, Any], **more: Any) -> str:
    """Takes what are filters out of the options of a command."""
    pairs: list[tuple[str, str]] = []
    for option, name in _NAMES.items():
        value = options.pop(option, None)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                pairs.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    pairs += [(name, str(value)) for name, value in more.items() if value is not None]
    return urlencode(pairs)


@command.command("list")
@_agent
@_filters
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.option("--all", "is_all", is_flag=True, help="All of them, as JSON lines.")
@connection
@_json
def list_conversations(agent: str, limit: int, is_all: bool, as_json: bool, **options: Any) -> None:
    """Show conversations, newest first."""
    path = f"/v1/agents/{quote(agent, safe='')}/conversations?"
    if is_all:
        for line in stream(options, path + _query(options)):
            click.echo(line)
        return
    found = ask(options, "GET", path + _query(options, limit=min(limit, 5000)))
    _show(found, as_json, has_more=True)


@command.command("sample")
@_agent
@_filters
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 5000), help="How many at most.")
@connection
@_json
def sample(agent: str, limit: int, as_json: bool, **options: Any) -> None:
    """Show so many conversations at random."""
    query = _query(options, limit=limit, sample="random")
    _show(ask(options, "GET", f"/v1/agents/{quote(agent, safe='')}/conversations?{query}"), as_json)


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@_agent
@_filters
@click.option("--meaning", is_flag=True, help="By meaning instead of by words.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many at most.")
@connection
@_json
def search(words: tuple[str, ...], agent: str, meaning: bool, limit: int, as_json: bool, **options: Any) -> None:
    """Find conversations in which WORDS were said; what stands in quotation marks stands together."""
    kind = "semantic" if meaning else "transcript"
    query = _query(options, limit=min(limit, 5000), query=" ".join(words), queryType=kind)
    _show(
        ask(options, "GET", f"/v1/agents/{quote(agent, safe='')}/conversations?{query}"), as_json, has_more=not meaning
    )


def _show(found: dict[str, Any], as_json: bool, *, has_more: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    from rich.console import Console  # noqa: PLC0415  # not needed for --json
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    is_wide = console.width >= WIDE
    table = Table(box=None, pad_edge=False)
    for title in ("started", "conversation", "s", "score", *(("from", "about") if is_wide else ())):
        table.add_column(title, justify="right" if title in ("s", "score") else "left", no_wrap=title != "about")
    for c in found["conversations"]:
        about = (c["shortSummary"] or {}).get("heading", "")
        matches = c.get("matches") or []
        state = "in progress" if c["inProgress"] else f"to {c['handoffDestination']}" if c["handoffDestination"] else ""
        about = matches[0]["snippet"] if matches else about[:_WIDEST] or state
        score = "" if c["polyScore"] is None else f"{c['polyScore']:g}"
        cells = [escape(c["startedAt"][5:16].replace("T", " ")), escape(c["conversationId"]), str(c["duration"]), score]
        more = [escape(c["fromNumber"] or ""), escape(about)]
        table.add_row(*cells, *(more if is_wide else ()))
        if not is_wide and any(more):
            table.add_row("", f"  {'  '.join(part for part in more if part)}"[: console.width - 13], "", "")
    console.print(table if found["conversations"] else "No conversations.")
    if has_more and found["count"] > len(found["conversations"]):
        click.echo(f"{len(found['conversations'])} of {found['count']:,}; --limit shows more.", err=True)


@command.command("get")
@click.argument("conversation")
@_agent
@connection
@_json
def get(conversation: str, agent: str, as_json: bool, **where: Any) -> None:
    """Show one conversation, turn by turn."""
    found = ask(where, "GET", _path(agent, conversation))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    facts = {
        "from": found["fromNumber"], "to": found["toNumber"], "variant": found["variantId"], "env": found["clientEnv"],
        "ended by": found["endReason"], "handed to": found["handoffDestination"], "tags": ", ".join(found["tags"]),
        "score": found["polyScore"], "note": found["note"],
    }  # fmt: skip
    click.secho(
        f"{found['conversationId']}  {found['startedAt'][:19]}  {found['channel']}  {found['duration']} s", bold=True
    )
    for name, value in facts.items():
        if value not in (None, ""):
            click.echo(f"  {name:10} {value}")
    if found["shortSummary"]:
        click.echo(f"  {'summary':10} {found['shortSummary']['content']} ({found['shortSummary']['made_by']})")
    for turn, body in enumerate(found["turns"]):
        if turn:
            click.echo(
                f"\n[{turn}]\n{click.style('user', fg='cyan', bold=True)}   {body['user_input'] or body['user_input_dtmf'] or '(silence)'}"
            )
        for event in body["metadata"]["function_events"]:
            click.secho(
                f"        {event['name']}({', '.join(f'{k}={v!r}' for k, v in event['arguments'].items())})", dim=True
            )
        speech = body["metadata"].get("speech") or {}
        cut = click.style("  (interrupted)", dim=True) if speech.get("interrupted") else ""
        click.echo(f"{click.style('agent', fg='green', bold=True)}  {body['agent_response'] or '(says nothing)'}{cut}")
        if "perceived" in speech.get("latency", {}):
            click.secho(f"        heard after {speech['latency']['perceived'] / 1000:.1f} s", dim=True)
        for mark in body["reviews"]:
            click.secho(
                f"        [{turn}] {mark['role']}: {mark['annotationType']} {mark['text']} ({mark['author']})",
                fg="yellow",
            )


@command.command("audio")
@click.argument("conversation")
@_agent
@click.option("--direction", type=click.Choice(["combined", "user", "agent"]), default="combined", show_default=True)
@click.option("--redacted", is_flag=True, help="With personal data muted.")
@click.option("--channels", type=click.IntRange(1, 2), default=2, show_default=True, help="1 mixes both sides.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; CONVERSATION.wav when left out.",
)
@connection
def audio(
    conversation: str, agent: str, direction: str, redacted: bool, channels: int, output: Path | None, **where: Any
) -> None:
    """Fetch the recording of a call."""
    query = urlencode({"direction": direction, "redacted": str(redacted).lower(), "channels": channels})
    body = fetch(where, f"{_path(agent, conversation)}/audio?{query}")
    target = output or Path(f"{conversation}.wav")
    target.write_bytes(body)
    click.echo(f"{target}: {len(body):,} bytes")


@command.command("note")
@click.argument("conversation")
@click.argument("text")
@_agent
@connection
def note(conversation: str, text: str, agent: str, **where: Any) -> None:
    """Replace the note of a conversation; "" takes it away."""
    ask(where, "POST", f"{_path(agent, conversation)}/note", {"note": text})
    click.echo("The note is kept." if text.strip() else "The note is gone.")


@command.command("tag")
@click.argument("conversation")
@click.argument("tags", nargs=-1)
@_agent
@connection
def tag(conversation: str, tags: tuple[str, ...], agent: str, **where: Any) -> None:
    """Replace the tags of a conversation; none takes them away."""
    found = ask(where, "PUT", f"{_path(agent, conversation)}/tags", {"tags": list(tags)})
    click.echo(f"Tags: {', '.join(found['tags']) or 'none'}.")


@command.command("annotate")
@click.argument("conversation")
@_agent
@click.option("--turn", type=click.IntRange(0), required=True, help="Turn, counted from 0, the greeting.")
@click.option("--role", type=click.Choice(["user", "agent"]), default="agent", show_default=True)
@click.option("--type", "kind", type=click.Choice(_TYPES), required=True)
@click.option(
    "--reason", "reasons", multiple=True, type=click.Choice(_REASONS), help="Of a bad response; may be given again."
)
@click.option("--text", default="", help="What you want to say about it.")
@connection
def annotate(
    conversation: str, agent: str, turn: int, role: str, kind: str, reasons: tuple[str, ...], text: str, **where: Any
) -> None:
    """Mark what was said in a turn as wrong, missing, good or bad."""
    mark = {"turnId": turn, "role": role, "annotationType": kind, "text": text, "reasons": reasons}
    made = ask(where, "POST", f"{_path(agent, conversation)}/annotations", {"annotations": [mark]})
    click.echo(f"Annotation {made['annotations'][0]['id']} is kept.")


@command.command("erase")
@click.argument("conversation", required=False)
@_agent
@click.option("--contact", help="Everything from or to this number or address, instead of one conversation.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connection
@_json
def erase(conversation: str | None, agent: str, contact: str | None, yes: bool, as_json: bool, **where: Any) -> int:
    """Erase a conversation, or all that came from or went to a caller's number or address, for good."""
    if (conversation is None) == (contact is None):
        raise click.UsageError("Name a conversation or give --contact, one of them.")
    what = f"conversation {conversation}" if conversation else f"every conversation from or to {contact}"
    if not yes:
        click.confirm(f"Erase {what}? It cannot be had back.", abort=True)
    if conversation:
        receipt = ask(where, "DELETE", _path(agent, conversation))
    else:
        receipt = ask(where, "POST", f"/v1/agents/{quote(agent, safe='')}/erasures", {"contact": contact})
    if as_json:
        click.echo(json.dumps(receipt))
    else:
        removed = ", ".join(f"{count} {name}" for name, count in receipt["removed"].items()) or "nothing"
        click.echo(f"Erased {receipt['conversations']} conversation(s): {removed}. Receipt {receipt['id']}.")
    if receipt["conversations"] == 0 and not receipt["removed"]:
        click.echo(f"Nothing was there from or to {contact}: is it the whole number, with its country code?", err=True)
        return 1
    return 0


def _path(agent: str, conversation: str) -> str:
    return f"/v1/agents/{quote(agent, safe='')}/conversations/{quote(conversation, safe='')}"


@command.command("export")
@_agent
@_filters
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "csv", "parquet", "vcon"]),
    default="jsonl",
    show_default=True,
    help="Whole records or signed vCons, one a line; or a table.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, its signature beside it; standard output when left out.",
)
@connection
def export(agent: str, kind: str, output: Path | None, **options: Any) -> None:
    """Carry conversations out, oldest first."""
    base, query, id_ = f"/v1/agents/{quote(agent, safe='')}", _query(options), secrets.token_hex(16)
    path = f"{base}/export?format={kind}&exportId={id_}&{query}"
    if output is None:
        out = sys.stdout.buffer
        for piece in pieces(options, path):
            out.write(piece)
        out.flush()
        return
    total = ask(options, "GET", f"{base}/conversations?limit=1&{query}")["count"]
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as file, progress("exporting", total) as advance:
            for piece in pieces(options, path):
                file.write(piece)
                advance(piece.count(b"\n") if kind != "parquet" else 0)
            advance(total)
        part.replace(output)  # a file of that name is a whole one
    finally:
        part.unlink(missing_ok=True)
    if kind != "jsonl":  # which holds its own
        beside = output.with_name(output.name + ".signature.json")
        beside.write_text(json.dumps(ask(options, "GET", f"{base}/exports/{id_}"), indent=1) + "\n", encoding="utf-8")
    click.echo(f"{output}: {output.stat().st_size:,} bytes", err=True)


@command.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path) -> None:
    """Check that an exported FILE is as it was written: by its last line, or by FILE.signature.json."""
    from vivavoce.cli.signed import check, check_beside  # noqa: PLC0415  # cryptography is not needed for --help

    beside = file.with_name(file.name + ".signature.json")
    count, key = check_beside(file, beside) if beside.is_file() else check(file)
    click.echo(f"{file} is whole: {count:,} conversations, signed by {key}.")


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_agent
@click.option("--unsigned", is_flag=True, help="Take a file whose signature is missing or does not fit.")
@connection
def take_in(file: Path, agent: str, unsigned: bool, **where: Any) -> None:
    """Take in what `export` has written as jsonl or vcon, or anybody's vCons. What is there already is left as it is."""
    from vivavoce.cli.signed import bodies, check, is_ours, is_signature  # noqa: PLC0415  # cryptography is not needed for --help

    count = (
        check(file, hint=" --unsigned takes it as it is.", is_strict=not unsigned)[0]
        if is_ours(file)
        else sum(1 for _ in bodies(file))
    )
    imported = 0
    skipped: dict[str, str] = {}
    with progress("importing", count) as advance:
        block: list[Any] = []
        size = 0
        for body in bodies(file):
            if not is_signature(body):
                block.append(body)
                size += len(msgspec.json.encode(body))
            if len(block) == MOST_RECORDS or size > MOST_BYTES:
                imported += _send(where, agent, block, skipped)
                advance(len(block))
                block, size = [], 0
        if block:
            imported += _send(where, agent, block, skipped)
            advance(len(block))
    click.echo(f"{imported:,} imported, {len(skipped):,} skipped.")
    for id_, why in list(skipped.items())[:10]:
        click.echo(f"  {id_}: {why}", err=True)


MOST_RECORDS = 100  # of one request
MOST_BYTES = 8 << 20


def _send(where: dict[str, Any], agent: str, block: list[Any], skipped: dict[str, str]) -> int:
    done = ask(where, "POST", f"/v1/agents/{quote(agent, safe='')}/import", {"records": block})
    skipped.update(done["skipped"])
    return int(done["imported"])
