"""pydantic-ai: an agent with one tool, its new messages committed to SQLite once a turn and read back for the next.

python pydantic_ai_turn.py PORT WORK MODEL
"""

from __future__ import annotations

import sqlite3
import sys
import uuid

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from serving import REPLY, RULES, look_up, serve

PORT, WORK, MODEL = sys.argv[1:4]


def answer(messages, info):  # noqa: ANN001, ANN201
    if any(isinstance(part, ToolReturnPart) for part in messages[-1].parts):
        return ModelResponse(parts=[TextPart(REPLY)])
    return ModelResponse(parts=[ToolCallPart("look_up", {"number": 7}, uuid.uuid4().hex)])


if MODEL == "stub":
    model = FunctionModel(answer)
else:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("fake", provider=OpenAIProvider(base_url=MODEL, api_key="x"))
agent = Agent(model, instructions=RULES)
agent.tool_plain(look_up)
db = sqlite3.connect(f"{WORK}/messages.db", isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE turns (id TEXT, n INTEGER, body BLOB, PRIMARY KEY (id, n)) WITHOUT ROWID")


async def open_() -> str:
    return uuid.uuid4().hex


async def turn(id: str, message: str) -> str:
    rows = db.execute("SELECT body FROM turns WHERE id = ? ORDER BY n", (id,)).fetchall()
    history = [m for (body,) in rows for m in ModelMessagesTypeAdapter.validate_json(body)]
    if MODEL == "stub":
        result = await agent.run(message, message_history=history)
        text, new = result.output, result.new_messages_json()
    else:
        async with agent.run_stream(message, message_history=history) as streamed:
            text = await streamed.get_output()
            new = streamed.new_messages_json()
    db.execute("INSERT INTO turns VALUES (?, ?, ?)", (id, len(rows), new))
    return text


serve(int(PORT), open_, turn)
