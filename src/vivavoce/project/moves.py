"""Moves that author code names literally, `conv.goto_flow("…")` and `flow.goto_step("…")`, checked against the flows there are."""

from __future__ import annotations

import ast
import warnings

from vivavoce.domain.agent import Agent
from vivavoce.domain.ids import clean_name
from vivavoce.project import layout
from vivavoce.project.source import Faults


def check(agent: Agent, files: dict[str, bytes], faults: Faults) -> None:
    """Only warnings: agents in the wild keep moves to steps that are long gone, and nothing happens when they are made."""
    folders = {flow.folder: flow for flow in agent.flows.values()}
    every_step = {clean_name(step) for flow in agent.flows.values() for step in flow.steps}
    for path, content in files.items():
        if not path.endswith(".py") or b".goto_" not in content:
            continue
        match = layout.FLOW_FUNCTION.fullmatch(path) or layout.FUNCTION_STEP.fullmatch(path)
        own = folders.get(match.group(1)) if match else None
        steps = (
            {clean_name(step) for step in own.steps} if own is not None and b"goto_flow" not in content else every_step
        )
        for line, method, name in _moves(content):
            if method == "goto_flow" and name not in agent.flows:
                faults.warn(
                    path, line, "unknown-reference", f"There is no flow {name!r}; goto_flow to it has no effect."
                )
            elif method == "goto_step" and clean_name(name) not in steps:
                faults.warn(
                    path,
                    line,
                    "unknown-reference",
                    f"There is no step {name!r} to go to; goto_step to it has no effect.",
                )


def _moves(content: bytes) -> list[tuple[int, str, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # reported where functions are parsed
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        first = node.args[0]
        if (
            node.func.attr in ("goto_flow", "goto_step")
            and isinstance(first, ast.Constant)
            and isinstance(first.value, str)
        ):
            found.append((node.lineno, node.func.attr, first.value))
    return found
