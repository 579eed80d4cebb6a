"""An OpenAI-compatible chat completions server that answers at once: a tool call, then text. For measuring our side."""

from __future__ import annotations

import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    body = {
        "id": "x",
        "object": "chat.completion.chunk",
        "model": "fake",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


CALL = [
    chunk(
        {
            "role": "assistant",
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
            ],
        }
    ),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"number": '}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": "7}"}}]}),
    chunk({}, "tool_calls"),
]
TEXT = (
    [chunk({"role": "assistant", "content": ""})]
    + [
        chunk({"content": w + " "})
        for w in ["Your", "order", "number", "seven", "leaves", "the", "house", "tomorrow", "morning."]
    ]
    + [chunk({}, "stop")]
)
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":900,"completion_tokens":12}}\n\n'


async def complete(request: Request) -> Response:
    body = json.loads(await request.body())
    lines = (
        TEXT
        if body["messages"][-1]["role"] == "tool" or any(m["role"] == "tool" for m in body["messages"][-2:])
        else CALL
    )

    async def stream():  # noqa: ANN202
        for line in lines:
            yield line
        yield USAGE
        yield b"data: [DONE]\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
