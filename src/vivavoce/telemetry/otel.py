"""Traces and metrics by OpenTelemetry, in the names of its conventions for generative AI as of version 1.37.

A turn's spans are made from its record, once it is on the disk. What was said, arguments and results are in none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vivavoce.domain import correlation
from vivavoce.domain.conversation import Conversation, FunctionCall, ModelExchange, Turn

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
_OURS = re.compile(r"(AS_CHAT_|LOCAL-)[0-9a-f-]{36}")
_DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


class OtelTelemetry:
    def __init__(
        self, tracing: TracerProvider, metering: MeterProvider, *, provider: str, mark: Callable[[str], str]
    ) -> None:
        """`provider` is who serves the models, as the conventions name it; `mark` stands for an id that somebody gave."""
        self._mark = mark
        self._tracing, self._metering = tracing, metering
        self._tracer = tracing.get_tracer("vivavoce", schema_url=SCHEMA)
        meter = metering.get_meter("vivavoce", schema_url=SCHEMA)
        self._provider = provider
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}", "Tokens of one model request.")
        self._models = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "One model request.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )  # fmt: skip
        self._turns = meter.create_histogram(
            "vivavoce.turn.duration", "s", "From the message to the reply.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )  # fmt: skip

    def turn(self, conversation: Conversation, turn: Turn) -> None:
        known = correlation.current.get()
        context = TraceContextTextMapPropagator().extract({"traceparent": known.parent}) if known.parent else None
        about: dict[str, Any] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": conversation.agent_id,
            "gen_ai.conversation.id": conversation.id
            if _OURS.fullmatch(conversation.id)
            else self._mark(conversation.id),
            "vivavoce.environment": conversation.environment,
            "vivavoce.channel": conversation.channel,
            "vivavoce.turn.index": turn.index,
            "vivavoce.tree": conversation.tree,
            "vivavoce.correlation_id": known.id,
        }
        if turn.place_after.flow is not None:
            about |= {"vivavoce.flow": turn.place_after.flow, "vivavoce.step": turn.place_after.step or ""}
        span = self._tracer.start_span(
            f"invoke_agent {conversation.agent_id}",
            context,
            SpanKind.SERVER,
            about,
            start_time=_nanoseconds(turn.started_at),
        )
        inside = trace.set_span_in_context(span)
        for exchange in turn.exchanges:
            self._exchange(exchange, inside)
        for call in turn.calls:
            self._call(call, inside)
        span.end(_nanoseconds(turn.finished_at))
        seconds = (turn.finished_at - turn.started_at).total_seconds()
        self._turns.record(seconds, {"gen_ai.agent.id": conversation.agent_id})

    def _exchange(self, exchange: ModelExchange, inside: Any) -> None:
        reply = exchange.reply
        model = (reply.model if reply is not None else "") or exchange.request.model or "unknown"
        about: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": exchange.request.model or model,
        }
        told: dict[str, Any] = {}
        if reply is not None:
            told = {
                "gen_ai.response.model": model,
                "gen_ai.response.finish_reasons": (reply.finish_reason,),
                "gen_ai.usage.input_tokens": reply.prompt_tokens,
                "gen_ai.usage.output_tokens": reply.completion_tokens,
            }
        else:
            about["error.type"] = "model_error"
        self._span(
            f"chat {model}", SpanKind.CLIENT, {**about, **told}, exchange.started_at, exchange.finished_at, inside
        )
        self._models.record((exchange.finished_at - exchange.started_at).total_seconds(), about)
        if reply is not None:
            for kind, count in (("input", reply.prompt_tokens), ("output", reply.completion_tokens)):
                self._tokens.record(count, {**about, "gen_ai.token.type": kind})

    def _call(self, call: FunctionCall, inside: Any) -> None:
        about = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.call.id": call.id,
            "gen_ai.tool.type": "function",
            "code.function.name": f"{call.module}.{call.name}",
        }
        if call.error is not None:
            about["error.type"] = "function_error"
        end = _nanoseconds(call.started_at) + round(call.duration_ms * 1_000_000)
        self._span(f"execute_tool {call.name}", SpanKind.INTERNAL, about, call.started_at, end, inside)

    def _span(
        self, name: str, kind: SpanKind, about: dict[str, Any], start: datetime, end: datetime | int, inside: Any
    ) -> None:
        span = self._tracer.start_span(name, inside, kind, about, start_time=_nanoseconds(start))
        if "error.type" in about:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end if isinstance(end, int) else _nanoseconds(end))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A turn is the span of its request; the others are counted for Prometheus."""

    def close(self) -> None:
        for provider in (self._tracing, self._metering):
            getattr(provider, "shutdown", lambda: None)()


def by_environment(processors: Sequence[Any] = (), readers: Sequence[Any] = ()) -> tuple[TracerProvider, MeterProvider]:
    """What sends to where the OTEL_ variables say; `processors` and `readers` take the place of that."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk import metrics  # noqa: PLC0415
    from opentelemetry.sdk import trace as tracing  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource({SERVICE_NAME: "vivavoce"}).merge(OTELResourceDetector().detect())
    spans = tracing.TracerProvider(resource=resource)
    for processor in processors or (BatchSpanProcessor(OTLPSpanExporter()),):
        spans.add_span_processor(processor)
    meters = metrics.MeterProvider(readers or (PeriodicExportingMetricReader(OTLPMetricExporter()),), resource)
    return spans, meters


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000
