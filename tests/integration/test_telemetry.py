"""Who watches a server sees how it does, request by request and turn by turn, and nothing of what was said."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.integration.test_many_processes import AGENT, MODEL
from tests.support.http import KEY, Api, Process, api
from tests.support.talk import run, script, write
from vivavoce.cli import logs
from vivavoce.domain import correlation
from vivavoce.telemetry import otel

SECRET = "zebra"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_prometheus_reads_what_a_server_did(tmp_path: Path) -> None:
    async def go() -> None:
        async with api(write(tmp_path, AGENT), script(MODEL)) as http:
            id = (await http.open())["conversationId"]
            await http.say(id, "act 0")
            await http.say(id, SECRET)
            await http.call("GET", "/nowhere")
            bearer = {"Authorization": f"Bearer {KEY}"}
            status, body, headers = await http.call("GET", "/metrics", key=None, headers=bearer)
            assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
            text = body.decode()
            for line in (
                'vivavoce_turns_total{agent="tiny",channel="chat.polyai",environment="sandbox"} 3.0',
                'vivavoce_function_seconds_count{agent="tiny"} 1.0',
                'route="/v1/agents/{agentId}/debug-chat/{conversationId}",status="200"} 2.0',
                'vivavoce_http_requests_total{method="GET",route="none",status="404"} 1.0',
                "vivavoce_requests_in_work 0.0",
            ):
                assert line in text, line
            assert SECRET not in text and id not in text
            assert (await http.call("GET", "/metrics", key=None))[0] == 401
            _, made, _ = await http.call("POST", "/v1/keys", {"name": "n", "permissions": ["read"]})
            assert (await http.call("GET", "/metrics", key=made["key"]))[0] == 403

    run(go())


def test_a_turn_is_a_trace_with_its_model_requests_and_calls_and_without_what_was_said(tmp_path: Path) -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    watcher = otel.OtelTelemetry(
        *otel.by_environment([SimpleSpanProcessor(exporter)], [reader]),
        provider="scripted",
        mark=lambda id: str(len(id)),
    )

    async def go() -> None:
        async with api(write(tmp_path, AGENT), script(MODEL)) as http:
            assert http.started is not None
            http.started.services.telemetry._watchers = [watcher]  # type: ignore[attr-defined]
            id = (await http.open(conversationId="447700900461"))["conversationId"]
            exporter.clear()
            headers = {"traceparent": TRACE, "X-PolyAI-Correlation-Id": "mine"}
            sent = {"clientEnv": "sandbox", "message": f"act 0 {SECRET}"}
            await http.call("POST", f"/v1/agents/tiny/debug-chat/{id}", sent, headers=headers)

    run(go())
    spans = {span.name: span for span in exporter.get_finished_spans()}
    turn = spans["invoke_agent tiny"]
    assert turn.attributes is not None and turn.parent is not None
    assert (
        f"{turn.context.trace_id:032x}" == TRACE.split("-")[1] and f"{turn.parent.span_id:016x}" == TRACE.split("-")[2]
    )
    assert turn.attributes["vivavoce.correlation_id"] == "mine" and turn.attributes["vivavoce.turn.index"] == 1
    inside = [span for span in exporter.get_finished_spans() if span is not turn]
    assert {span.name.split()[0] for span in inside} == {"chat", "execute_tool"}
    assert all(span.parent is not None and span.parent.span_id == turn.context.span_id for span in inside)
    assert spans["execute_tool act"].attributes is not None
    everything = "".join(span.to_json() for span in exporter.get_finished_spans()) + str(reader.get_metrics_data())
    assert SECRET not in everything and "447700900461" not in everything
    assert "gen_ai.client.operation.duration" in everything and "vivavoce.turn.duration" in everything
    watcher.close()


def test_where_the_variables_say_so_traces_are_sent(tmp_path: Path) -> None:
    received: list[tuple[str, bytes]] = []

    async def collect(request: web.Request) -> web.Response:
        received.append((request.path, await request.read()))
        return web.Response()

    async def go() -> None:
        app = web.Application()
        app.router.add_post("/v1/{kind}", collect)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        play = tmp_path / "play.yaml"
        play.write_text(MODEL)
        arguments = (str(write(tmp_path / "agent", AGENT)), "--data", str(tmp_path / "data"))
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        server = await asyncio.to_thread(lambda: Process(*arguments, "--model", f"scripted:{play}", env=env))
        async with aiohttp.ClientSession() as session:
            await Api(session, server.address).open()
        assert await asyncio.to_thread(server.stop) == 0  # what is left is sent before the end
        await runner.cleanup()
        assert any(path == "/v1/traces" and b"invoke_agent tiny" in body for path, body in received)
        assert any(path == "/v1/metrics" and b"vivavoce.turn.duration" in body for path, body in received)

    run(go())


def test_a_line_of_the_log_is_one_object_with_the_id_of_its_request() -> None:
    record = logging.LogRecord("vivavoce.x", logging.WARNING, __file__, 1, "took %d s", (3,), None)
    token = correlation.current.set(correlation.Correlation("abc"))
    try:
        found: dict[str, Any] = json.loads(logs._Json().format(record))
    finally:
        correlation.current.reset(token)
    assert found.pop("time") and found == {
        "level": "warning", "logger": "vivavoce.x", "message": "took 3 s", "correlation_id": "abc",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_server_logs_in_the_form_that_was_asked_for_and_tells_nobody_what_was_said(tmp_path: Path, form: str) -> None:
    folder = write(
        tmp_path / "agent", {**AGENT, "functions/act.py": "def act(conv, word):\n    raise ValueError(word)\n"}
    )
    play = tmp_path / "play.yaml"
    play.write_text(MODEL)
    env = {"VIVAVOCE_LOG_FORMAT": form, "VIVAVOCE_LOG_LEVEL": "debug"}
    server = Process(str(folder), "--data", str(tmp_path / "data"), "--model", f"scripted:{play}", env=env)

    async def go() -> None:
        async with aiohttp.ClientSession() as session:
            http = Api(session, server.address)
            id = (await http.open())["conversationId"]
            await http.say(id, f"act {SECRET}")
            await http.call("POST", f"/v1/agents/tiny/debug-chat/{id}", {"clientEnv": "live", "message": SECRET})

    run(go())
    server.process.terminate()
    _, errors = server.process.communicate(timeout=30)
    assert SECRET not in errors
    if form == "json":
        assert all(json.loads(line)["level"] for line in errors.splitlines())


def test_without_the_extra_a_server_that_is_to_send_traces_says_what_to_install() -> None:
    told = "import sys; sys.modules['opentelemetry'] = None\nfrom vivavoce.wiring.adapters import make_telemetry\nfrom vivavoce import settings\n"
    asked = "make_telemetry(settings.load(environ={'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://x'}, data='/tmp'), str)"
    found = subprocess.run([sys.executable, "-c", told + asked], capture_output=True, text=True)
    assert "vivavoce[telemetry]" in found.stderr
