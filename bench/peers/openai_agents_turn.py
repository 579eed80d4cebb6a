"""OpenAI Agents SDK: an agent with one tool and the SDK's own SQLite session.

python openai_agents_turn.py PORT WORK MODEL
"""

from __future__ import annotations

import sys
import uuid

from agents import (
    Agent,
    Model,
    ModelResponse,
    OpenAIChatCompletionsModel,
    Runner,
    SQLiteSession,
    Usage,
    function_tool,
    set_tracing_disabled,
)
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from serving import REPLY, RULES, look_up, serve

PORT, WORK, MODEL = sys.argv[1:4]
set_tracing_disabled(True)


class Stub(Model):
    async def get_response(self, system_instructions, input, *args, **kwargs):  # noqa: ANN001, ANN002, ANN003, ANN201
        last = input[-1] if isinstance(input, list) else {}
        if isinstance(last, dict) and last.get("type") == "function_call_output":
            text = ResponseOutputText(text=REPLY, type="output_text", annotations=[])
            item = ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")
        else:
            item = ResponseFunctionToolCall(
                arguments='{"number": 7}', call_id=uuid.uuid4().hex, name="look_up", type="function_call", id="f"
            )
        return ModelResponse(output=[item], usage=Usage(), response_id=None)

    def stream_response(self, *args, **kwargs):  # noqa: ANN002, ANN003, ANN201
        raise NotImplementedError


if MODEL == "stub":
    model = Stub()
else:
    from openai import AsyncOpenAI

    model = OpenAIChatCompletionsModel("fake", AsyncOpenAI(base_url=MODEL, api_key="x"))
agent = Agent(name="bench", instructions=RULES, tools=[function_tool(look_up)], model=model)


async def open_() -> str:
    return uuid.uuid4().hex


async def turn(id: str, message: str) -> str:
    session = SQLiteSession(id, f"{WORK}/sessions.db")
    try:
        if MODEL == "stub":
            return str((await Runner.run(agent, message, session=session)).final_output)
        streamed = Runner.run_streamed(agent, message, session=session)
        async for _ in streamed.stream_events():
            pass
        return str(streamed.final_output)
    finally:
        session.close()


serve(int(PORT), open_, turn)
