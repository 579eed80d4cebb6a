"""A running vivavoce inside the test, and conversations with it at the level where users feel them."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

from tests.support import postgres
from vivavoce import settings
from vivavoce.messages.interface import Sender
from vivavoce.models.interface import Model
from vivavoce.models.scripted import Script, ScriptedModel
from vivavoce.safety.interface import Classifier
from vivavoce.service.chats import Opening, Said, Taken
from vivavoce.service.keys import OPERATOR
from vivavoce.voice.call import Engines
from vivavoce.wire.chat import debug_chat, encode
from vivavoce.wiring import Running, running

AGENTS = Path(__file__).parent.parent / "agents"


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def script(text: str) -> ScriptedModel:
    return ScriptedModel(msgspec.convert(YAML(typ="safe", pure=True).load(text), Script))


class Talk:
    """One conversation: `say` a line, get the reply as the API gives it."""

    def __init__(self, started: Running, agent: str, *, evicting: bool = False) -> None:
        self.started = started
        self.agent = agent
        self.evicting = evicting
        self.id = ""
        self.taken: Taken | None = None
        self.replies: list[dict[str, Any]] = []

    async def open(self, **opening: Any) -> dict[str, Any]:
        taken = await self.started.services.chats.open(OPERATOR, self.agent, Opening(environment="sandbox", **opening))
        return await self._keep(taken)

    async def say(self, text: str, **more: Any) -> dict[str, Any]:
        taken = await self.started.services.chats.respond(OPERATOR, self.agent, self.id, Said(text=text, **more))
        return await self._keep(taken)

    async def _keep(self, taken: Any) -> dict[str, Any]:
        assert isinstance(taken, Taken)
        self.taken, self.id = taken, taken.conversation.id
        if self.evicting:
            await self.started.functions.evict(taken.conversation)
        shown = json.loads(encode(debug_chat(taken.conversation, taken.turn, taken.snapshot, taken.metrics)))
        self.replies.append(shown)
        return dict(shown)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [event for reply in self.replies for event in reply["metadata"]["functionEvents"]]

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.replies[-1]["metadata"]["state"])


@asynccontextmanager
async def serving(
    folder: Path,
    model: Model | None = None,
    *,
    data: Path | None = None,
    evicting: bool = False,
    senders: dict[str, Sender] | None = None,
    classifier: Classifier | None = None,
    engines: Callable[[], Engines] | None = None,
    **overrides: Any,
) -> AsyncIterator[Callable[[], Talk]]:
    """Serves one folder; yields a maker of conversations. On a disk when `data` is given, else in memory."""
    environ = {"VIVAVOCE_RETRIEVAL": "lexical", "VIVAVOCE_API_KEY": "test-key"}
    database = postgres.of(data) if data is not None and postgres.wanted() else None
    config = settings.load(environ=environ, data=data or tempfile.mkdtemp(), database=database, model="local")
    config = msgspec.structs.replace(config, **overrides)
    async with running(
        config,
        folders=(folder,),
        in_memory=data is None,
        model=model,
        senders=senders,
        classifier=classifier,
        engines=engines,
    ) as started:
        agent = started.services.deployments.served[0].agent_id
        yield lambda: Talk(started, agent, evicting=evicting)


def write(folder: Path, files: dict[str, str]) -> Path:
    """An agent folder out of its files; project.yaml is there unless given."""
    for path, text in {"project.yaml": "project_id: tiny\naccount_id: acme\n", **files}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder
