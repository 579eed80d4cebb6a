"""Numbers for Prometheus, of this process: its turns, requests and models, and how it copes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from vivavoce.domain.conversation import Conversation, Turn

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class PrometheusTelemetry:
    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """`gauges` are asked whenever somebody reads: name -> (what it is, how much it is now)."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._turns = Counter(
            "vivavoce_turns_total", "Turns on disk.", ["agent", "environment", "channel"], registry=registry
        )
        self._turn_seconds = Histogram(
            "vivavoce_turn_seconds", "From the message to the reply.", ["agent"], buckets=_SECONDS, registry=registry
        )
        self._ends = Counter("vivavoce_conversations_ended_total", "Ends.", ["agent", "reason"], registry=registry)
        self._model_seconds = Histogram(
            "vivavoce_model_seconds", "One model request.", ["model"], buckets=_SECONDS, registry=registry
        )
        self._model_failures = Counter(
            "vivavoce_model_failures_total", "Model requests that failed.", ["model"], registry=registry
        )
        self._tokens = Counter(
            "vivavoce_model_tokens_total", "Tokens that models told of.", ["model", "type"], registry=registry
        )
        self._function_seconds = Histogram(
            "vivavoce_function_seconds",
            "One call of an author function.",
            ["agent"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._function_failures = Counter(
            "vivavoce_function_failures_total", "Calls of author functions that failed.", ["agent"], registry=registry
        )
        self._requests = Counter(
            "vivavoce_http_requests_total", "Answered HTTP requests.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "vivavoce_http_request_seconds", "HTTP requests.", ["method", "route"], buckets=_SECONDS, registry=registry
        )
        for name, (meaning, ask) in gauges.items():
            Gauge(name, meaning, registry=registry).set_function(ask)

    def turn(self, conversation: Conversation, turn: Turn) -> None:
        agent = conversation.agent_id
        self._turns.labels(agent, conversation.environment, conversation.channel).inc()
        self._turn_seconds.labels(agent).observe((turn.finished_at - turn.started_at).total_seconds())
        if turn.end_reason is not None:
            self._ends.labels(agent, turn.end_reason).inc()
        for exchange in turn.exchanges:
            model = (exchange.reply.model if exchange.reply is not None else exchange.request.model) or "unknown"
            self._model_seconds.labels(model).observe((exchange.finished_at - exchange.started_at).total_seconds())
            if exchange.reply is None:
                self._model_failures.labels(model).inc()
            else:
                self._tokens.labels(model, "input").inc(exchange.reply.prompt_tokens)
                self._tokens.labels(model, "output").inc(exchange.reply.completion_tokens)
        for call in turn.calls:
            self._function_seconds.labels(agent).observe(call.duration_ms / 1000)
            if call.error is not None:
                self._function_failures.labels(agent).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def expose(self) -> bytes:
        return generate_latest(self._registry)

    def close(self) -> None: ...
