"""Pipecat: a pipeline for each conversation, text only, its context's new messages committed to SQLite once a turn.

python pipecat_turn.py PORT WORK MODEL
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import uuid
from dataclasses import fields

import serving
from loguru import logger
from pipecat.frames.frames import (
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMMessagesAppendFrame,
    LLMTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.services.llm_service import FunctionCallFromLLM, FunctionCallParams, LLMService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import LLMSettings
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner

PORT, WORK, MODEL = sys.argv[1:4]
logger.remove()


class Stub(LLMService):
    async def process_frame(self, frame, direction):  # noqa: ANN001, ANN201
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        if frame.context.messages[-1]["role"] == "tool":
            await self.push_frame(LLMTextFrame(serving.REPLY))
        else:
            call = FunctionCallFromLLM("look_up", uuid.uuid4().hex, {"number": 7}, frame.context)
            await self.run_function_calls([call])
        await self.push_frame(LLMFullResponseEndFrame())


class Served(OpenAILLMService):
    """One client, and so one pool of connections, for all conversations."""

    client = None

    def create_client(self, **kwargs):  # noqa: ANN003, ANN201
        Served.client = Served.client or super().create_client(**kwargs)
        return Served.client

    def _token_usage(self, usage):  # noqa: ANN001, ANN202
        usage.total_tokens = usage.prompt_tokens + usage.completion_tokens  # which the server leaves out
        return super()._token_usage(usage)


def model() -> LLMService:
    if MODEL == "stub":
        unset = {field.name: None for field in fields(LLMSettings) if field.name != "extra"}
        return Stub(settings=LLMSettings(**{**unset, "system_instruction": serving.RULES}))
    settings = OpenAILLMService.Settings(model="fake", system_instruction=serving.RULES)
    return Served(base_url=MODEL, api_key="x", settings=settings)


async def look_up(params: FunctionCallParams, number: int) -> None:
    """Looks an order up by its number."""
    await params.result_callback(serving.look_up(number))


db = sqlite3.connect(f"{WORK}/messages.db", isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE IF NOT EXISTS turns (id TEXT, n INTEGER, body TEXT, PRIMARY KEY (id, n)) WITHOUT ROWID")


class Conversation:
    """A running pipeline, with what is stored of its conversation in the context."""

    def __init__(self, id: str) -> None:
        rows = db.execute("SELECT body FROM turns WHERE id = ? ORDER BY n", (id,)).fetchall()
        self.id, self.turns = id, len(rows)
        self.context = LLMContext([m for (body,) in rows for m in json.loads(body)], tools=[look_up])
        self.stored = len(self.context.messages)
        self.said: asyncio.Queue[str | Exception] = asyncio.Queue()
        params = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
        user, assistant = LLMContextAggregatorPair(self.context, user_params=params, realtime_service_mode=False)
        pipeline = Pipeline([user, model(), assistant])
        self.worker = PipelineWorker(pipeline, enable_rtvi=False, enable_turn_tracking=False, idle_timeout_secs=None)
        self.started = asyncio.Event()

        @self.worker.event_handler("on_pipeline_started")
        async def started(worker, frame) -> None:  # noqa: ANN001
            self.started.set()

        @self.worker.event_handler("on_pipeline_error")
        async def failed(worker, frame) -> None:  # noqa: ANN001
            self.said.put_nowait(RuntimeError(frame.error))

        @assistant.event_handler("on_assistant_turn_stopped")
        async def stopped(aggregator, message) -> None:  # noqa: ANN001
            if message.content:  # none beside a call of a tool
                self.said.put_nowait(message.content)

    async def run(self) -> None:
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        self.running = asyncio.create_task(runner.run())
        await self.started.wait()

    async def turn(self, message: str) -> str:
        said = [{"role": "user", "content": message}]
        await self.worker.queue_frame(LLMMessagesAppendFrame(said, run_llm=True))
        answer = await self.said.get()
        if isinstance(answer, Exception):
            raise answer
        new = json.dumps(self.context.messages[self.stored :])
        db.execute("INSERT INTO turns VALUES (?, ?, ?)", (self.id, self.turns, new))
        self.stored, self.turns = len(self.context.messages), self.turns + 1
        return answer


conversations: dict[str, Conversation] = {}


async def resume(id: str) -> Conversation:
    conversations[id] = found = Conversation(id)
    await found.run()
    return found


async def open_() -> str:
    id = uuid.uuid4().hex
    await resume(id)
    return id


async def turn(id: str, message: str) -> str:
    return await (conversations.get(id) or await resume(id)).turn(message)


serving.serve(int(PORT), open_, turn)
