"""Moves that author code names literally, `conv.goto_flow("…")` and `flow.goto_step("…")`, checked against the flows there are."""

from __future__ import annotations

import ast
import warnings

from vivavoce.domain.agent import Agent
from vivavoce.domain.flow import FunctionStep
from vivavoce.domain.ids import clean_name
from vivavoce.project import layout
from vivavoce.project.source import Faults


def check(agent: Agent, files: dict[str, bytes], faults: Faults) -> None:
    """Only warnings: agents in the wild keep moves to steps that are long gone, and nothing happens when they are made."""
    _check_cycles(agent, files, faults)
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
        for line, method, name in moves(content):
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


def _check_cycles(agent: Agent, files: dict[str, bytes], faults: Faults) -> None:
    """Function steps that lead only to one another never come to a word: the engine cuts such a chain after a while."""
    for flow in agent.flows.values():
        leads_to: dict[str, set[str]] = {}
        lines: dict[str, tuple[str, int]] = {}
        for name, step in flow.steps.items():
            path = f"flows/{flow.folder}/function_steps/{name}.py"
            content = files.get(path)
            if not isinstance(step, FunctionStep) or content is None:
                continue
            found = moves(content)
            targets = {target for _, method, target in found if method == "goto_step"}
            is_open = (
                b"exit_flow" in content or b"goto_flow" in content or b"transition" in content or b"hangup" in content
            )
            if targets and not is_open and all(isinstance(flow.steps.get(t), FunctionStep) for t in targets):
                leads_to[name] = targets
                lines[name] = (path, found[0][0])
        for name in leads_to:
            if _is_endless(name, leads_to):
                path, line = lines[name]
                faults.warn(
                    path,
                    line,
                    "cycle",
                    f"The function step {name!r} leads only to function steps that lead back to it; give one of them a way out.",
                )


def _is_endless(start: str, leads_to: dict[str, set[str]]) -> bool:
    """True when every way from here stays among steps that only lead on, and one of them comes back."""
    seen: set[str] = set()
    waiting = [start]
    comes_back = False
    while waiting:
        for target in leads_to[waiting.pop()]:
            if target not in leads_to:
                return False
            comes_back = comes_back or target == start
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return comes_back


def moves(content: bytes) -> list[tuple[int, str, str]]:
    """(line, goto_flow or goto_step, the name) of each move in a Python file."""
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
