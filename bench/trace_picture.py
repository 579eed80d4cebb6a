"""Draws docs/trace.svg: the terminal's trace of a few real turns with the example agent."""

from __future__ import annotations

import asyncio
import io
import json
import re
import tempfile
from pathlib import Path

from rich.console import Console

from vivavoce import settings
from vivavoce.cli.screen import Screen
from vivavoce.service.chats import Opening, Said, Taken
from vivavoce.service.keys import OPERATOR
from vivavoce.wire.chat import debug_chat, encode
from vivavoce.wiring import running

ROOT = Path(__file__).parent.parent
LINES = (
    "How late are you open on a Friday?",
    "My brakes squeal, can I bring it in on Thursday?",
    "the first one please",
)


async def main() -> None:
    console = Console(record=True, width=108, highlight=False, force_terminal=True, file=io.StringIO())
    screen = Screen(as_json=False, has_trace=True)
    screen._console = console
    config = settings.load(data=tempfile.mkdtemp(), model="local")
    async with running(config, folders=(ROOT / "examples/bike-workshop",), in_memory=True) as started:
        chats = started.services.chats
        opened = await chats.open(OPERATOR, "bike-workshop", Opening(environment="sandbox"))
        for line in LINES:
            screen.echo(line)
            taken = await chats.respond(OPERATOR, "bike-workshop", opened.conversation.id, Said(text=line))
            assert isinstance(taken, Taken)
            screen.show(json.loads(encode(debug_chat(taken.conversation, taken.turn, taken.snapshot, taken.metrics))))
    picture = console.export_svg(title="vivavoce chat examples/bike-workshop --trace")
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # the fonts of whoever looks at it
    picture = picture.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    (ROOT / "docs/trace.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
