"""What every model adapter does with the same conversation, and what each makes of a server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.talk import run, script
from vivavoce.domain.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    Rendered,
    RetrievedTopic,
    StepPrompt,
    SystemPart,
    Tool,
    ToolCall,
)
from vivavoce.models.anthropic import AnthropicModel
from vivavoce.models.fallback import Fallback
from vivavoce.models.interface import Model, ModelError, ModelRefused, ModelUnavailable, TextDelta, complete
from vivavoce.models.local.model import LocalModel
from vivavoce.models.openai import OpenAIModel
from vivavoce.models.provider import ProviderModel
from vivavoce.models.retrying import Retrying

BOOK = Tool(
    name="book",
    description="Books a table when the caller wants one.",
    schema={
        "type": "object",
        "properties": {"people": {"type": "integer", "description": "How many people."}},
        "required": ["people"],
    },
)
HISTORY = (
    Message(role="assistant", content="Hello!"),
    Message(role="user", content="a table for 4"),
    Message(role="assistant", calls=(ToolCall(id="c1", name="book", arguments='{"people": 4}'),)),
    Message(role="function", content="booked", call_id="c1", name="book"),
    Message(role="user", content="thank you"),
)


def request(**changes: Any) -> ModelRequest:
    text = lambda words: Rendered.of((words,))  # noqa: E731
    values: dict[str, Any] = {
        "system": (SystemPart(title="rules", content=text("Be kind.")),),
        "context": SystemPart(title="context_information", content=text("Known: {topics_prompt}")),
        "topics": (RetrievedTopic(name="t", distance=0.1, content=text("We open at nine.")),),
        "step": StepPrompt(flow="f", step="s", text=text("Ask for the day.")),
        "history": HISTORY,
        "tools": (BOOK,),
    }
    return ModelRequest(**{**values, **changes})


Raw = Callable[[dict[str, Any]], tuple[str, list[bytes]]]


@asynccontextmanager
async def upstream(answer: Raw) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers each request with (head, body parts); yields its URL and the bodies it was sent."""
    bodies: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            bodies.append(json.loads(await reader.readexactly(length)))
            start, parts = answer(bodies[-1])
            writer.write(f"HTTP/1.1 {start}\r\nconnection: close\r\n\r\n".encode())
            for part in parts:
                writer.write(part)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client had enough
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", bodies
    server.close()
    await server.wait_closed()


OK = "200 OK\r\ncontent-type: text/event-stream"


def events(*items: Any) -> list[bytes]:
    return [b"data: " + (item if isinstance(item, bytes) else json.dumps(item).encode()) + b"\n\n" for item in items]


def openai_text(_: Any) -> tuple[str, list[bytes]]:
    whole = b"".join(
        events(
            *({"choices": [{"delta": {"content": w}}]} for w in ("You ", "are ", "welcome.")),
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}},
            b"[DONE]",
        )
    )
    return OK, [whole[i : i + 7] for i in range(0, len(whole), 7)]  # chunks that respect no boundary


def openai_call(_: Any) -> tuple[str, list[bytes]]:
    def delta(**d: Any) -> Any:
        return {"choices": [{"delta": {"tool_calls": [d]}}]}

    return OK, events(
        delta(index=0, id="c9", function={"name": "book", "arguments": ""}),
        delta(index=0, function={"arguments": '{"peo'}),
        delta(index=0, function={"arguments": 'ple": 2}'}),
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        b"[DONE]",
    )


def anthropic_text(_: Any) -> tuple[str, list[bytes]]:
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": w}}
        for w in ("You ", "are ", "welcome.")
    ]
    start = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 9}}}
    return OK, events(
        start,
        block,
        *deltas,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    )


def anthropic_call(_: Any) -> tuple[str, list[bytes]]:
    block = {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "c9", "name": "book", "input": {}},
    }
    deltas = [
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": p}}
        for p in ('{"peo', 'ple": 2}')
    ]
    return OK, events(
        {"type": "message_start", "message": {}},
        block,
        *deltas,
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )


def adapter(kind: str, url: str) -> Model:
    if kind == "openai":
        return OpenAIModel("m", key="k", base_url=f"{url}/v1", timeout=0.5)
    return AnthropicModel("m", key="k", base_url=url, timeout=0.5)


ADAPTERS = [("openai", openai_text, openai_call), ("anthropic", anthropic_text, anthropic_call)]


@pytest.mark.parametrize(("kind", "text", "call"), ADAPTERS, ids=["openai", "anthropic"])
def test_text_comes_as_it_is_made_and_then_once_whole(kind: str, text: Raw, call: Raw) -> None:
    async def check() -> None:
        async with upstream(text) as (url, _):
            model = adapter(kind, url)
            chunks = [c async for c in model.stream(request())]
            await model.close()
        assert [c.text for c in chunks[:-1] if isinstance(c, TextDelta)] == ["You ", "are ", "welcome."]
        reply = chunks[-1]
        assert isinstance(reply, ModelReply) and reply.text == "You are welcome." and reply.finish_reason == "stop"
        assert (reply.prompt_tokens, reply.completion_tokens) == (9, 3)

    run(check())


@pytest.mark.parametrize(("kind", "text", "call"), ADAPTERS, ids=["openai", "anthropic"])
def test_a_tool_call_is_put_together_from_its_pieces(kind: str, text: Raw, call: Raw) -> None:
    async def check() -> None:
        async with upstream(call) as (url, _):
            model = adapter(kind, url)
            reply = await complete(model, request())
            await model.close()
        assert reply.calls == (ToolCall(id="c9", name="book", arguments='{"people": 2}'),)

    run(check())


def test_openai_is_sent_the_parts_in_order_with_the_step_last() -> None:
    body = OpenAIModel("m", key=None, base_url="http://x", timeout=1).body(request())
    roles = [m["role"] for m in body["messages"]]
    assert roles == ["system", "system", "assistant", "user", "assistant", "tool", "user", "system"]
    assert (
        body["messages"][-1]["content"] == "Ask for the day." and "We open at nine." in body["messages"][1]["content"]
    )
    assert body["messages"][4]["tool_calls"][0]["function"] == {"name": "book", "arguments": '{"people": 4}'}
    assert body["messages"][5] == {"role": "tool", "tool_call_id": "c1", "content": "booked"}


def test_anthropic_is_sent_roles_that_alternate_beginning_with_the_user() -> None:
    body = AnthropicModel("m", key=None, base_url="http://x", timeout=1).body(request())
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert body["messages"][-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "booked"},
        {"type": "text", "text": "thank you"},
    ]
    assert body["system"].endswith("Ask for the day.") and body["tools"][0]["input_schema"] == BOOK.schema


BROKEN: list[tuple[str, Raw, type[ModelError]]] = [
    (
        "a wrong key",
        lambda _: ("401 No\r\ncontent-type: application/json", [b'{"error": "secret prompt"}']),
        ModelRefused,
    ),
    ("a server that is busy", lambda _: ("429 Busy\r\nretry-after: 7", [b""]), ModelUnavailable),
    ("a server error", lambda _: ("500 Oops", [b"<html>"]), ModelUnavailable),
    ("a page instead of events", lambda _: ("200 OK\r\ncontent-type: text/html", [b"<html>hi"]), ModelUnavailable),
    ("garbage in the stream", lambda _: (OK, [b"data: {not json\n\n"]), ModelUnavailable),
    ("json of another shape", lambda _: (OK, events([1, 2], {"choices": "x", "type": 5})), ModelUnavailable),
    ("a stream that ends early", lambda _: (OK, [b": hello\n\n"]), ModelUnavailable),
    ("a line without end", lambda _: (OK, [b"data: " + b"x" * (3 << 20)]), ModelUnavailable),
]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(("what", "answer", "error"), BROKEN, ids=[b[0] for b in BROKEN])
def test_a_server_that_misbehaves_is_a_model_error_without_its_words(
    kind: str, what: str, answer: Raw, error: type[ModelError]
) -> None:
    async def check() -> None:
        async with upstream(answer) as (url, _):
            model = adapter(kind, url)
            with pytest.raises(error) as found:
                await complete(model, request())
            await model.close()
            assert "secret" not in str(found.value)
            if "429" in answer({})[0]:
                assert found.value.retry_after == 7

    run(check())


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_server_that_is_silent_or_away_is_unavailable(kind: str) -> None:
    async def check() -> None:
        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        model = adapter(kind, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.5 s"):
            await complete(model, request())
        await model.close()
        server.close()
        free = socket.socket()
        free.bind(("127.0.0.1", 0))
        model = adapter(kind, f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await complete(model, request())
        await model.close()
        free.close()

    run(check())


class Flaky:
    """Fails as often as it is told, then says its name; `after_text` fails once text is out."""

    def __init__(self, name: str, *errors: ModelError, after_text: bool = False) -> None:
        self.name, self.errors, self.after_text, self.asked = name, list(errors), after_text, 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
        self.asked += 1
        if self.errors:
            if self.after_text:
                yield TextDelta("half")
            raise self.errors.pop(0)
        yield ModelReply(text=self.name)

    async def close(self) -> None: ...


def test_a_retryable_error_is_tried_again_with_growing_waits_and_no_other_is() -> None:
    async def check() -> None:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        flaky = Flaky("a", ModelUnavailable("1"), ModelUnavailable("2", retry_after=2.0))
        assert (await complete(Retrying(flaky, sleep=sleep), request())).text == "a" and waits == [0.25, 2.0]
        for broken in (
            Flaky("a", ModelRefused("no")),
            Flaky("a", ModelUnavailable("x"), after_text=True),
            Flaky("a", ModelUnavailable("x", retry_after=60)),
        ):
            with pytest.raises(ModelError):
                await complete(Retrying(broken, sleep=sleep), request())
            assert broken.asked == 1
        tired = Flaky("a", *(ModelUnavailable("x") for _ in range(9)))
        with pytest.raises(ModelUnavailable):
            await complete(Retrying(tired, sleep=sleep), request())
        assert tired.asked == 3

    run(check())


def test_the_next_model_answers_when_the_first_cannot_but_never_half_and_half() -> None:
    async def check() -> None:
        first = Flaky("first", ModelRefused("no"))
        assert (await complete(Fallback((first, Flaky("second"))), request())).text == "second"
        with pytest.raises(ModelUnavailable):
            await complete(
                Fallback((Flaky("first", ModelUnavailable("x"), after_text=True), Flaky("second"))), request()
            )

    run(check())


def test_other_providers_answer_through_the_library(recwarn: pytest.WarningsRecorder) -> None:
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

    seen: list[Any] = []

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        seen.extend([messages, info])
        if info.function_tools and "book" in str(messages[-2]):
            yield {0: DeltaToolCall(name="book", json_args='{"people": 2}', tool_call_id="c9")}
        else:
            yield "You are "
            yield "welcome."

    def whole(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart("x"), ToolCallPart("book")])

    async def check() -> None:
        model = ProviderModel(FunctionModel(whole, stream_function=stream), timeout=5)
        chunks = [c async for c in model.stream(request())]
        assert chunks[-1].text == "You are welcome." and "".join(c.text for c in chunks[:-1]) == "You are welcome."
        assert [type(m).__name__ for m in seen[0]] == [
            "ModelRequest",
            "ModelResponse",
            "ModelRequest",
            "ModelResponse",
            "ModelRequest",
            "ModelRequest",
            "ModelRequest",
        ]
        assert seen[1].function_tools[0].parameters_json_schema == BOOK.schema

    run(check())


def test_the_embedded_model_refuses_what_it_cannot_do() -> None:
    async def check() -> None:
        prompt = ModelRequest(system=(SystemPart(title="prompt", content=Rendered.of(("Write a poem",))),))
        with pytest.raises(ModelRefused, match="embedded model"):
            await complete(LocalModel(None), prompt)

    run(check())


def test_a_script_with_a_fault_says_which() -> None:
    import msgspec

    with pytest.raises(msgspec.ValidationError, match="sayy"):
        script("rules:\n  - sayy: x\n")
