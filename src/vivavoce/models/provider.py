"""Every other provider, through pydantic-ai's direct requests. Installed by the extra `providers`, loaded on first use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from vivavoce.domain.conversation import ModelReply, ModelRequest, ToolCall
from vivavoce.errors import NOT_JSON, UsageError
from vivavoce.models.interface import Chunk, ModelRefused, ModelUnavailable, TextDelta
from vivavoce.models.rendering import step_text, system_texts

_BUSY = {408, 409, 425, 429, 500, 502, 503, 504, 529}


class ProviderModel:
    """`name` is PROVIDER:MODEL as pydantic-ai knows it; keys are read where each provider's own tools read them."""

    def __init__(self, name: str | Any, *, timeout: float) -> None:
        try:
            import pydantic_ai.direct  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
        except ImportError:
            raise UsageError(f"{name} needs the extra `providers`: pip install 'vivavoce[providers]'.") from None
        self._direct = pydantic_ai.direct
        self._model = name
        self.name = name if isinstance(name, str) else str(getattr(name, "model_name", "provider"))
        self._timeout = timeout

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        from pydantic_ai import exceptions, messages  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

        try:
            async with (
                asyncio.timeout(self._timeout * 4),
                self._direct.model_request_stream(
                    self._model,
                    _messages(request),
                    model_settings=_settings(request, self._timeout),
                    model_request_parameters=_parameters(request),
                ) as stream,
            ):
                async for event in stream:
                    if isinstance(event, messages.PartStartEvent) and isinstance(event.part, messages.TextPart):
                        if event.part.content:
                            yield TextDelta(event.part.content)
                    elif isinstance(event, messages.PartDeltaEvent) and isinstance(event.delta, messages.TextPartDelta):
                        yield TextDelta(event.delta.content_delta)
                yield self._reply(stream.get())
        except exceptions.ModelHTTPError as error:
            kind = ModelUnavailable if error.status_code in _BUSY else ModelRefused
            raise kind(f"{self.name} answered with status {error.status_code}.") from error
        except exceptions.UserError as error:
            raise ModelRefused(f"{self.name} cannot be used: {error}") from error
        except TimeoutError as error:
            raise ModelUnavailable(f"{self.name} did not answer in time.") from error
        except (exceptions.AgentRunError, OSError) as error:
            raise ModelUnavailable(f"{self.name} did not answer ({type(error).__name__}).") from error

    def _reply(self, response: Any) -> ModelReply:
        from pydantic_ai import messages  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

        calls = tuple(
            ToolCall(id=part.tool_call_id, name=part.tool_name, arguments=part.args_as_json_str())
            for part in response.parts
            if isinstance(part, messages.ToolCallPart)
        )
        return ModelReply(
            text="".join(part.content for part in response.parts if isinstance(part, messages.TextPart)),
            calls=calls,
            finish_reason=response.finish_reason or ("tool_calls" if calls else "stop"),
            model=response.model_name or self.name,
            prompt_tokens=response.usage.input_tokens or 0,
            completion_tokens=response.usage.output_tokens or 0,
            cached_tokens=response.usage.cache_read_tokens or 0,
        )

    async def close(self) -> None: ...


def _messages(request: ModelRequest) -> list[Any]:
    from pydantic_ai import messages as m  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    found: list[Any] = [m.ModelRequest(parts=[m.SystemPromptPart(content=text) for text in system_texts(request)])]
    for message in request.history:
        if message.role == "assistant":
            parts: list[Any] = [m.TextPart(content=message.content)] if message.content else []
            parts += [
                m.ToolCallPart(tool_name=c.name, args=_object(c.arguments), tool_call_id=c.id) for c in message.calls
            ]
            found.append(m.ModelResponse(parts=parts))
        elif message.role == "function":
            part = m.ToolReturnPart(tool_name=message.name, content=message.content, tool_call_id=message.call_id)
            found.append(m.ModelRequest(parts=[part]))
        else:
            found.append(m.ModelRequest(parts=[m.UserPromptPart(content=message.content)]))
    step = step_text(request)
    if step:
        found.append(m.ModelRequest(parts=[m.SystemPromptPart(content=step)]))
    return found


def _object(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments)
    except NOT_JSON:
        return {}


def _settings(request: ModelRequest, timeout: float) -> Any:
    inference = request.inference
    values = {
        "max_tokens": inference.max_tokens,
        "temperature": inference.temperature,
        "top_p": inference.top_p,
        "timeout": timeout,
    }
    return {name: value for name, value in values.items() if value is not None}


def _parameters(request: ModelRequest) -> Any:
    from pydantic_ai.models import ModelRequestParameters  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    from pydantic_ai.tools import ToolDefinition  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    tools = [
        ToolDefinition(name=t.name, description=t.description, parameters_json_schema=t.schema) for t in request.tools
    ]
    return ModelRequestParameters(function_tools=tools, allow_text_output=True)
