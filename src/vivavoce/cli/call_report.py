"""What a simulated call prints: the transcript while it goes on, then how well it was heard and where the time went."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vivavoce.domain.principal import Principal
from vivavoce.errors import UsageError
from vivavoce.service.calls import Ended
from vivavoce.service.conversations import Found
from vivavoce.service.recordings import RecordingNotFound
from vivavoce.service.services import Services
from vivavoce.voice.word_errors import errors
from vivavoce.wire import speech
from vivavoce.wire.chat import encode
from vivavoce.wire.conversations import detail

COMPONENTS = (
    "endpointing",
    "recognition",
    "first_text",
    "synthesis",
    "transport",
    "perceived",
)  # as the record names them


def waiting(what: str, *, is_quiet: bool) -> contextlib.AbstractContextManager[Any]:
    console = Console(stderr=True)
    return contextlib.nullcontext() if is_quiet or not console.is_terminal else console.status(what)


class Live:
    """Prints what is said when it is said."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._console = Console(highlight=False)

    def tell(self, event: dict[str, object]) -> None:
        if self._is_quiet:
            return
        if event.get("type") == "interrupted":
            self.note(f"       (interrupted; of this was heard: {event['heard'] or 'nothing'})")
        if event.get("type") != "transcript":
            return
        text = str(event["text"])
        if event["role"] == "user":
            self._print("caller", "bold cyan", Text(text or "(silence)"))
        else:
            self._print("agent", "bold green", Text(text, style="dim italic" if event.get("interim") else ""))

    def _print(self, who: str, style: str, text: Text) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=6, style=style)
        row.add_column()
        row.add_row(who, text)
        self._console.print(row)

    def note(self, text: str) -> None:
        if not self._is_quiet:
            self._console.print(Text(text, style="yellow"))


async def written(services: Services, principal: Principal, found: Found, path: str) -> Path | None:
    """The recording as a file; None when author code has had it discarded."""
    conversation = found.conversation
    try:
        sound = await services.conversations.recording(
            principal, conversation.agent_id, conversation.id, direction="combined", is_redacted=False, is_mono=False
        )
    except RecordingNotFound:
        return None
    target = Path(path)
    body = b"".join([piece async for piece in sound.read(0, sound.size)])
    try:
        await asyncio.to_thread(target.write_bytes, body)
    except OSError as error:  # the call is kept, and can be fetched
        raise UsageError(
            f"{target} cannot be written ({error.strerror}); vivavoce conversations audio {conversation.id} fetches it again."
        ) from None
    return target


def word_errors(found: Found, lines: Sequence[dict[str, Any]]) -> tuple[int, int] | None:
    """Against all that the script has the caller say; None without a script."""
    said = " ".join(str(line["say"]) for line in lines if "say" in line)
    return errors(said, " ".join(turn.input.text for turn in found.turns)) if said else None


def show(found: Found, lines: Sequence[dict[str, Any]], ended: Ended, path: Path | None, *, as_json: bool) -> None:
    wrong = word_errors(found, lines)
    if as_json:
        report = {
            "conversationId": found.conversation.id,
            "endReason": ended.reason,
            "seconds": round(ended.seconds, 2),
            "wordErrorRate": round(wrong[0] / wrong[1], 4) if wrong and wrong[1] else None,
            "recording": str(path) if path is not None else None,
            "conversation": detail(found.listed, found.turns, found.closing, found.deliveries),
        }
        click.echo(encode(report).decode())
        return
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1), title="milliseconds", title_justify="left", title_style="dim")
    table.add_column("turn", justify="right")
    for name in COMPONENTS:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for turn in found.turns:
        if turn.played is not None:
            parts = speech.breakdown(turn)
            table.add_row(str(turn.index), *(f"{parts[name]:.0f}" if name in parts else "-" for name in COMPONENTS))
    console.print(table)
    if wrong is not None and wrong[1]:
        console.print(f"word error rate  {wrong[0] / wrong[1]:.1%} ({wrong[0]} of {wrong[1]} words)")
    problems = sorted({p for turn in found.turns if turn.played is not None for p in turn.played.problems})
    if problems:
        console.print(f"problems         {', '.join(problems)}")
    console.print(f"the call         {ended.seconds:.1f} s, ended by {ended.reason}")
    console.print(f"recording        {path if path is not None else 'none: it was discarded'}")
    console.print(f"conversation     {found.conversation.id}")
