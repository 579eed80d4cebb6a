"""Chat completions, streamed: OpenAI and every server that speaks the same (Ollama, vLLM, llama-server, ...)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from vivavoce.domain.conversation import Message, ModelReply, ModelRequest, ToolCall
from vivavoce.models.http import Http, decoded
from vivavoce.models.interface import Chunk, ModelUnavailable, TextDelta
from vivavoce.models.rendering import step_text, system_texts


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Event(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    model: str | None = None
    error: Any = UNSET


_decode = msgspec.json.Decoder(_Event).decode
_REASONING = ("o1", "o3", "o4", "gpt-5")  # models that take reasoning_effort, and no temperature


class OpenAIModel:
    def __init__(self, model: str, *, key: str | None, base_url: str, timeout: float) -> None:
        self._model = model
        self._url = f"{base_url}/chat/completions"
        self.name = f"openai:{model}"
        self._http = Http(self.name, headers={"authorization": f"Bearer {key}"} if key else {}, timeout=timeout)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        text: list[str] = []
        calls: dict[int, list[str]] = {}  # index -> [id, name, arguments]
        finish, model, usage = "", self._model, _Usage()
        async for data in self._http.events(self._url, self.body(request)):
            event: _Event = decoded(data, _decode, self.name)
            if not isinstance(event.error, UnsetType):
                raise ModelUnavailable(f"{self.name} broke its answer off with an error.")
            usage = event.usage or usage
            model = event.model or model
            for choice in event.choices[:1]:
                if choice.delta.content:
                    text.append(choice.delta.content)
                    yield TextDelta(choice.delta.content)
                for call in choice.delta.tool_calls or ():
                    entry = calls.setdefault(call.index, ["", "", ""])
                    entry[0] = call.id or entry[0]
                    if call.function is not None:
                        entry[1] += call.function.name or ""
                        entry[2] += call.function.arguments or ""
                finish = choice.finish_reason or finish
        if not finish and not text and not calls:
            raise ModelUnavailable(f"{self.name} ended its answer before it began.")
        details = usage.prompt_tokens_details
        yield ModelReply(
            text="".join(text),
            calls=tuple(
                ToolCall(id=id_ or f"call_{index}", name=name, arguments=arguments or "{}")
                for index, (id_, name, arguments) in sorted(calls.items())
            ),
            finish_reason=finish or "stop",
            model=model,
            prompt_tokens=usage.prompt_tokens or 0,
            completion_tokens=usage.completion_tokens or 0,
            cached_tokens=(details.cached_tokens or 0) if details is not None else 0,
        )

    async def close(self) -> None:
        await self._http.close()

    def body(self, request: ModelRequest) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "system", "content": text} for text in system_texts(request)]
        messages.extend(_message(m) for m in request.history)
        step = step_text(request)
        if step:
            messages.append({"role": "system", "content": step})
        if not request.history and not step and len(messages) == 1:
            messages[0]["role"] = "user"  # a bare prompt: several servers refuse a request without a user message
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
                for t in request.tools
            ]
        inference = request.inference
        is_reasoning = self._model.startswith(_REASONING)
        if inference.temperature is not None and not is_reasoning:
            body["temperature"] = inference.temperature
        if inference.top_p is not None and not is_reasoning:
            body["top_p"] = inference.top_p
        if inference.max_tokens is not None:
            body["max_completion_tokens" if is_reasoning else "max_tokens"] = inference.max_tokens
        if inference.reasoning_effort and inference.reasoning_effort != "auto" and is_reasoning:
            body["reasoning_effort"] = inference.reasoning_effort
        if inference.response_format:
            body["response_format"] = {"type": inference.response_format}
        return body


def _message(message: Message) -> dict[str, Any]:
    if message.role == "function":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if message.calls:
        return {
            "role": "assistant",
            "content": message.content or None,
            "tool_calls": [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in message.calls
            ],
        }
    return {"role": message.role, "content": message.content}
