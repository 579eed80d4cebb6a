"""A chat-completions server that plays a script: what a compatible server looks like from the other side of the wire."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vivavoce.domain.conversation import Message, ModelRequest, Rendered, StepPrompt, SystemPart, Tool, ToolCall
from vivavoce.models.interface import complete
from vivavoce.models.scripted import ScriptedModel


class OpenAIServer:
    """`fail` lets the next requests fail with these statuses; `bodies` are the requests as they came."""

    def __init__(self, model: ScriptedModel, steps: dict[str, tuple[str, str]] | None = None) -> None:
        self.model = model
        self.steps = steps or {}
        self.bodies: list[dict[str, Any]] = []
        self.fail: list[int] = []
        self.url = ""

    async def _complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.bodies.append(body)
        if self.fail:
            return JSONResponse({"error": {"message": "told to fail"}}, self.fail.pop(0))
        reply = await complete(self.model, self._request(body))
        deltas: list[dict[str, Any]] = [{"content": word + " "} for word in reply.text.split(" ") if reply.text]
        for index, call in enumerate(reply.calls):
            half = len(call.arguments) // 2
            name = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            deltas.append({"tool_calls": [name]})
            for part in (call.arguments[:half], call.arguments[half:]):
                deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})

        async def stream() -> AsyncIterator[bytes]:
            for delta in deltas:
                yield _event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "model": "played"})
            yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}]})
            yield _event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}})
            yield b"data: [DONE]\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    def _request(self, body: dict[str, Any]) -> ModelRequest:
        """The structured request that the flat one came from, as far as a script looks at it."""
        history: list[Message] = []
        names: dict[str, str] = {}
        system = [m["content"] for m in body["messages"] if m["role"] == "system"]
        for message in body["messages"]:
            if message["role"] == "tool":
                call_id = message["tool_call_id"]
                history.append(
                    Message(role="function", content=message["content"], call_id=call_id, name=names[call_id])
                )
            elif message.get("tool_calls"):
                calls = tuple(
                    ToolCall(id=c["id"], name=c["function"]["name"], arguments=c["function"]["arguments"])
                    for c in message["tool_calls"]
                )
                names.update({c.id: c.name for c in calls})
                history.append(Message(role="assistant", content=message["content"] or "", calls=calls))
            elif message["role"] != "system":
                history.append(Message(role=message["role"], content=message["content"]))
        step = None
        for needle, (flow, name) in self.steps.items():
            if system and re.search(needle, system[-1]):
                step = StepPrompt(flow=flow, step=name, text=Rendered())
        tools = tuple(
            Tool(
                name=t["function"]["name"], description=t["function"]["description"], schema=t["function"]["parameters"]
            )
            for t in body.get("tools", ())
        )
        parts = tuple(SystemPart(title="intro", content=Rendered(text=text)) for text in system)
        if not parts and history:
            parts = (SystemPart(title="intro", content=Rendered(text=history[0].content)),)
        return ModelRequest(system=parts, step=step, history=tuple(history), tools=tools)


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


@asynccontextmanager
async def openai_server(server: OpenAIServer) -> AsyncIterator[OpenAIServer]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
    app = Starlette(routes=[Route("/v1/chat/completions", server._complete, methods=["POST"])])
    served = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    task = asyncio.create_task(served.serve(sockets=[sock]))
    while not served.started:
        await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        served.should_exit = True
        await task
        sock.close()
