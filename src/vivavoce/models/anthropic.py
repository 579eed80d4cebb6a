"""Anthropic's messages API, streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct

from vivavoce.domain.conversation import Message, ModelReply, ModelRequest, ToolCall
from vivavoce.errors import NOT_JSON
from vivavoce.models.http import Http, decoded
from vivavoce.models.interface import Chunk, ModelUnavailable, TextDelta
from vivavoce.models.rendering import step_text, system_texts

VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 1024  # the API wants a limit


class _Block(Struct):
    type: str = ""
    id: str = ""
    name: str = ""


class _Delta(Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Start(Struct):
    model: str = ""
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Event(Struct):
    type: str
    index: int = 0
    content_block: _Block | None = None
    delta: _Delta | None = None
    message: _Start | None = None
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Event).decode
_FINISH = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "stop_sequence": "stop"}


class AnthropicModel:
    def __init__(self, model: str, *, key: str | None, base_url: str, timeout: float) -> None:
        self._model = model
        self._url = f"{base_url}/v1/messages"
        self.name = f"anthropic:{model}"
        self._http = Http(self.name, headers={"x-api-key": key or "", "anthropic-version": VERSION}, timeout=timeout)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        text: list[str] = []
        calls: dict[int, list[str]] = {}
        finish, model = "", self._model
        prompt_tokens = completion_tokens = cached_tokens = 0
        async for data in self._http.events(self._url, self.body(request)):
            event: _Event = decoded(data, _decode, self.name)
            match event.type:
                case "message_start" if event.message is not None:
                    model = event.message.model or model
                    prompt_tokens = event.message.usage.input_tokens or 0
                    cached_tokens = event.message.usage.cache_read_input_tokens or 0
                case "content_block_start" if (
                    event.content_block is not None and event.content_block.type == "tool_use"
                ):
                    calls[event.index] = [event.content_block.id, event.content_block.name, ""]
                case "content_block_delta" if event.delta is not None and event.delta.type == "text_delta":
                    text.append(event.delta.text)
                    yield TextDelta(event.delta.text)
                case "content_block_delta" if event.delta is not None and event.index in calls:
                    calls[event.index][2] += event.delta.partial_json
                case "message_delta":
                    finish = (event.delta.stop_reason if event.delta else None) or finish
                    completion_tokens = (event.usage.output_tokens if event.usage else None) or completion_tokens
                case "message_stop":
                    finish = finish or "end_turn"
                case "error":
                    raise ModelUnavailable(f"{self.name} broke its answer off with an error.")
        if not finish:
            raise ModelUnavailable(f"{self.name} ended its answer before it was complete.")
        yield ModelReply(
            text="".join(text),
            calls=tuple(ToolCall(id=i, name=n, arguments=a or "{}") for _, (i, n, a) in sorted(calls.items())),
            finish_reason=_FINISH.get(finish, finish),
            model=model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_tokens=cached_tokens,
        )

    async def close(self) -> None:
        await self._http.close()

    def body(self, request: ModelRequest) -> dict[str, Any]:
        system = system_texts(request)
        step = step_text(request)
        if step:
            system.append(step)  # this API has no system messages after the history
        messages = _merged(request.history)
        if not messages:
            messages, system = [{"role": "user", "content": "\n\n".join(system)}], []
        inference = request.inference
        if inference.response_format:
            system.append("Answer with one JSON object and nothing else.")
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "max_tokens": inference.max_tokens or DEFAULT_MAX_TOKENS,
            "stream": True,
        }
        if system:
            body["system"] = "\n\n".join(system)
        if request.tools:
            body["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": t.schema} for t in request.tools
            ]
        if inference.temperature is not None:
            body["temperature"] = min(inference.temperature, 1.0)
        elif inference.top_p is not None:
            body["top_p"] = inference.top_p
        return body


def _merged(history: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Roles alternate, beginning with the user; what stands together in one role becomes one message."""
    messages: list[dict[str, Any]] = []
    for message in history:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].extend(blocks)
        else:
            messages.append({"role": role, "content": blocks})
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": "(The conversation begins.)"}]})
    return messages


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "function":
        return [{"type": "tool_result", "tool_use_id": message.call_id, "content": message.content}]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content.strip() else []
    for call in message.calls:
        try:
            given = msgspec.json.decode(call.arguments)
        except NOT_JSON:
            given = {}
        blocks.append(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": given if isinstance(given, dict) else {}}
        )
    return blocks
