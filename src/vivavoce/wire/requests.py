"""llmRequests: what was asked of a model and what it answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw, json

from vivavoce.domain.conversation import (
    Conversation,
    Message,
    ModelExchange,
    ModelReply,
    ModelRequest,
    Tool,
    Turn,
    sources_text,
    topics_json,
)
from vivavoce.wire.times import iso, iso_naive

_encode = json.Encoder().encode


class _Written:
    """JSON of values that come again unchanged: an agent's prompts, topics and tools, a conversation's older messages."""

    def __init__(self, write: Callable[[Any], Any], most: int) -> None:
        self._write = write
        self._most = most
        self._known: dict[int, tuple[object, Raw]] = {}

    def clear(self) -> None:
        self._known.clear()

    def __call__(self, value: Any) -> Raw:
        known = self._known.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        raw = Raw(_encode(self._write(value)))
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[id(value)] = (value, raw)
        return raw


def _message(m: Message) -> dict[str, Any]:
    if not m.calls and not m.call_id:
        return {"role": m.role, "content": m.content}
    calls = [{"name": c.name, "parameters": c.arguments} for c in m.calls]
    return {"role": m.role, "content": m.content, "name": m.name, "function_calls": calls}


def _tools(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    return [
        {"name": t.name, "description": t.description, "parameters": t.schema, "reference": t.reference} for t in tools
    ]


class _WrittenHistory:
    """JSON of histories that grow by a few messages from request to request: only what is new is written."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[int, tuple[Message, int, Message, bytes]] = {}  # first message -> (it, count, last, JSON)

    def clear(self) -> None:
        self._known.clear()

    def __call__(self, history: tuple[Message, ...]) -> Raw:
        if not history:
            return Raw(b"[]")
        key = id(history[0])
        known = self._known.get(key)
        count, body = 0, b""
        if (
            known is not None
            and known[0] is history[0]
            and known[1] <= len(history)
            and history[known[1] - 1] is known[2]
        ):
            count, body = known[1], known[3]
        if count < len(history):
            body += (b"," if body else b"") + _encode([_message(m) for m in history[count:]])[1:-1]
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = (history[0], len(history), history[-1], body)
        return Raw(b"[" + body + b"]")


_written_text = _Written(lambda text: text, 4096)
_written_tools = _Written(_tools, 1024)
_written_history = _WrittenHistory(4096)
_written_queries = _Written(lambda queries: [{"query": query} for query in queries], 8192)


def llm_request(exchange: ModelExchange, conversation: Conversation, turn: Turn) -> dict[str, Any]:
    request, reply = exchange.request, exchange.reply
    inference = request.inference
    return {
        "log_id": exchange.id,
        "account_id": conversation.account_id,
        "project_id": conversation.agent_id,
        "call_sid": conversation.id,
        "client_env": conversation.environment,
        "deployment_version": turn.tree,
        "variant": turn.variant,
        "turn_number": str(turn.index + 1),
        "turn_timestamp": iso_naive(turn.started_at),
        "request_timestamp": iso(exchange.started_at),
        "response_timestamp": iso(exchange.finished_at),
        "turn_metadata": {},
        "flow_metadata": {
            "from_flow": exchange.place.flow,
            "from_step": exchange.place.step,
            "to_flow": exchange.place_after.flow,
            "to_step": exchange.place_after.step,
        },
        "purpose": exchange.purpose,
        "error": exchange.error,
        "llm_request": {
            "base_system_prompts": _system(request),
            "context_information": [
                {
                    "id": topic.name,
                    "name": topic.name,
                    "description": topic.content.text,
                    "instructions": topic.actions.text,
                    "example_queries": _written_queries(topic.example_queries),
                    "functions_referenced": list(topic.functions),
                    "distance": topic.distance,
                }
                for topic in request.topics
            ],
            "conversation_history": _written_history(request.history),
            "functions": _written_tools(request.tools),
            "inference_config": {
                "max_tokens": inference.max_tokens,
                "reasoning_effort": inference.reasoning_effort,
                "response_format": inference.response_format,
                "temperature": inference.temperature,
                "top_p": inference.top_p,
                "verbosity": inference.verbosity,
            },
            "language_code": request.language,
            "model_config": {"conversation_id": conversation.id},
            "model_id": request.model or (reply.model if reply is not None else ""),
        },
        "llm_response": _response(exchange, reply) if reply is not None else None,
    }


def _system(request: ModelRequest) -> list[dict[str, Any]]:
    system: list[dict[str, Any]] = [
        {"title": p.title, "role": "system", "content": _written_text(p.content.text)} for p in request.system
    ]
    if request.context is not None:
        text = request.context.content.text.replace("{topics_prompt}", topics_json(request.topics))
        system.append({"title": request.context.title, "role": "system", "content": text})
    if request.passages:
        system.append({"title": "connected_sources", "role": "system", "content": sources_text(request.passages)})
    if request.step is not None:
        parts = (request.step.header, request.step.text, request.step.footer)
        system.append({"title": "step", "role": "system", "content": "\n\n".join(p.text for p in parts if p.text)})
    return system


def _response(exchange: ModelExchange, reply: ModelReply) -> dict[str, Any]:
    return {
        "content": reply.text,
        "postprocessed_content": exchange.delivered,
        "finish_reason": reply.finish_reason,
        "function_calls": [{"function_id": "", "name": c.name, "parameters": c.arguments} for c in reply.calls],
        "first_chunk_timestamp": iso(exchange.first_text_at) or "",
        "model_id": reply.model,
        "prompt_tokens": float(reply.prompt_tokens),
        "completion_tokens": float(reply.completion_tokens),
        "total_tokens": float(reply.prompt_tokens + reply.completion_tokens),
        "cached_tokens": float(reply.cached_tokens),
        "cited_topics": list(reply.cited_topics),
        "out_of_domain": None,
        "reasoning": None,
    }


def forget() -> None:
    """What was written lately is kept for a while, since most of it comes again; after an erasure it is not."""
    for known in (_written_text, _written_tools, _written_history, _written_queries):
        known.clear()
