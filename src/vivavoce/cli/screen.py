"""How a conversation looks in a terminal: the reply, and under it the trace of the turn."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vivavoce.functions.runtime.conversation import BUILT_IN_STATE

WIDEST_VALUE = 100
_BUILT_IN = {*BUILT_IN_STATE, "listen_for_sms"}  # set on every conversation before its start function


class Screen:
    def __init__(self, *, as_json: bool, has_trace: bool) -> None:
        self._as_json = as_json
        self._has_trace = has_trace
        self._console = Console(highlight=False)

    def thinking(self) -> contextlib.AbstractContextManager[Any]:
        if self._as_json or not self._console.is_terminal:
            return contextlib.nullcontext()
        return self._console.status("the agent thinks…", spinner="dots")

    def ask(self) -> str:
        if sys.stdin.isatty():
            return self._console.input("[bold cyan]you[/]    ")
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    def echo(self, message: str) -> None:
        if not self._as_json:
            self._console.print(Text.assemble(("you    ", "bold cyan"), message or "(silence)"))

    def interim(self, text: str) -> None:
        """Words for the wait, which are no part of the reply."""
        if not self._as_json:
            self._console.print(Text(f"       … {text}", style="dim italic"))

    def problem(self, message: str) -> None:
        click.echo(f"vivavoce: {message}", err=True)

    def show(self, reply: dict[str, Any]) -> None:
        if self._as_json:
            click.echo(json.dumps(reply, ensure_ascii=False))
            return
        self._console.print(Text.assemble(("agent  ", "bold green"), reply["response"] or "(says nothing)"))
        if self._has_trace:
            self._console.print(trace(reply))

    def end(self, conversation: str | None) -> None:
        if not self._as_json and conversation:
            self._console.print(f"[dim]conversation {escape(conversation)}[/]")


def trace(reply: dict[str, Any]) -> Table:
    """Flow and step, topics, calls with their effects, state changes, model requests, timings: a line each."""
    metadata = reply["metadata"]
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", width=13, justify="right")
    table.add_column(overflow="fold")
    if metadata["inFlow"]:
        table.add_row(
            "flow / step", Text.assemble((metadata["inFlow"], "magenta"), " / ", (metadata["inStep"], "magenta"))
        )
    table.add_row("path", Text(" → ".join(metadata["nodeTrace"]) or "-", style="dim"))
    if metadata["retrievedTopics"]:
        cited = metadata["citedTopic"]
        names = [Text(name, style="bold yellow" if name == cited else "yellow") for name in metadata["retrievedTopics"]]
        table.add_row("topics", Text(", ").join(names))
    for event in metadata["functionEvents"]:
        arguments = ", ".join(f"{k}={_short(v)}" for k, v in event["arguments"].items())
        table.add_row(
            "call",
            Text.assemble((event["name"], "bold blue"), f"({arguments})", (f"  {event['duration']:.1f} ms", "dim")),
        )
        for label, value in _effects(event):
            table.add_row("", Text.assemble((f"{label} ", "dim"), value))
    for entity in metadata.get("entities", ()):
        table.add_row(
            "entity",
            Text(
                f"{entity['name']} = {entity['value']}"
                if entity["valid"]
                else f"{entity['name']} refused: {entity['error']}"
            ),
        )
    if metadata.get("retrievedSources"):
        table.add_row("sources", Text(", ".join(metadata["retrievedSources"]), style="yellow"))
    for request in metadata["llmRequests"]:
        answer = request.get("llm_response") or {}
        calls = ", ".join(call["name"] for call in answer.get("function_calls", ()))
        table.add_row(
            "model",
            Text.assemble(
                answer.get("model_id") or "-",
                (f"  {len(request['llm_request']['functions'])} tools", "dim"),
                f"  → {calls or 'text'}" if answer else f"  failed: {request['error']}",
            ),
        )
    for notice in metadata.get("notices", ()):
        table.add_row("notice", Text(notice["message"], style="yellow"))
    timings = metadata.get("timings", {})
    table.add_row("ms", Text(", ".join(f"{name} {value:.1f}" for name, value in timings.items()), style="dim"))
    return table


def _effects(event: dict[str, Any]) -> list[tuple[str, Text]]:
    found: list[tuple[str, Text]] = []
    if event["error"]:
        found.append(("error", Text(event["error"], style="bold red")))
    for key in ("utterance", "content"):
        if event[key]:
            found.append((key, Text(_short(event[key]), style="italic")))
    transition = event["transition"]
    if transition:
        where = (
            "exit"
            if transition["exit_flow"]
            else " / ".join(filter(None, (transition["goto_flow"], transition["goto_step"])))
        )
        found.append(("goes to", Text(where, style="magenta")))
    for key in ("hangup", "handoff", "variant_id_change"):
        if event[key]:
            found.append((key, Text(_short(event[key]))))
    changes = event["state_changes"] or {"added": {}, "updated": {}, "removed": []}
    found += [
        ("state", Text(f"+ {k} = {_short(v)}", style="green"))
        for k, v in changes["added"].items()
        if v is not None and k not in _BUILT_IN
    ]
    found += [
        ("state", Text(f"~ {k} = {_short(v[1])}  (was {_short(v[0])})", style="cyan"))
        for k, v in changes["updated"].items()
    ]
    found += [("state", Text(f"- {k}", style="red")) for k in changes["removed"]]
    found += [("message", Text(f"{m['kind']} to {m['to']}: {_short(m['content'])}")) for m in event["messages"]]
    for entries in (event["logs"] or {}).values():
        found += [(f"log {entry['level']}", Text(_short(entry["content"]), style="dim")) for entry in entries]
    return found


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= WIDEST_VALUE else text[: WIDEST_VALUE - 1] + "…"
