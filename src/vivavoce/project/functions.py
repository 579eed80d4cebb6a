"""functions/ and the functions of flows: what can be told of author code by parsing it."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import PurePosixPath
from typing import Any

from vivavoce.domain.agent import DelayControl, Function, FunctionKind, Parameter, ParameterType
from vivavoce.project import layout
from vivavoce.project.source import Faults

TYPES: dict[str, ParameterType] = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
LATER = {"integrations": "platform integrations"}
_VARIABLE = re.compile(r"(?<![\w.])conv\.state\.([A-Za-z_]\w*)\b(?!\s*\()")


def parse(path: str, content: bytes, kind: FunctionKind, flow: str | None, faults: Faults) -> Function | None:
    """The main function of a file, or None (with a fault) when there is none that could be called."""
    stem = PurePosixPath(path).stem
    module = _module(path, content, faults)
    if module is None:
        return None
    _warn_of_missing_features(path, module, faults)
    main = next(
        (n for n in module.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n.name == stem), None
    )
    if main is None:
        tools = [
            n.name for n in module.body if isinstance(n, ast.FunctionDef) and _decorator_calls(n, "func_description")
        ]
        if kind == "step":
            faults.error(path, 1, "no-main", f"A function step needs a function called {stem}, as its file is.")
        elif tools:
            faults.warn(
                path,
                1,
                "no-main",
                f"{tools[0]} is described as a tool, but only a function called {stem} can be one in this file.",
            )
        return None
    if isinstance(main, ast.AsyncFunctionDef):
        faults.error(path, main.lineno, "async", f"{stem} must be a plain function: author functions are not async.")
        return None
    leading = {
        "global": ("conv",),
        "start": ("conv",),
        "end": ("conv",),
        "flow": ("conv", "flow"),
        "step": ("conv", "flow"),
    }[kind]
    arguments = [*main.args.posonlyargs, *main.args.args]
    if [a.arg for a in arguments[: len(leading)]] != list(leading):
        faults.warn(path, main.lineno, "signature", f"{stem} should begin with the parameters {', '.join(leading)}.")
    parameters = _typed_parameters(path, main, [*arguments[len(leading) :], *main.args.kwonlyargs], faults)
    description = _description(main)
    if kind in ("global", "flow") and not description and _decorated(main):
        faults.warn(
            path,
            main.lineno,
            "description",
            f"{stem} has no @func_description, so a model cannot know when to call it.",
        )
    return Function(
        name=stem,
        kind=kind,
        module=layout.module_name(path),
        flow=flow,
        description=description,
        parameters=parameters,
        delay=_delay(path, main, faults),
        path=path,
        line=main.lineno,
    )


def _module(path: str, content: bytes, faults: Faults) -> ast.Module | None:
    try:
        source = content.decode("utf-8-sig")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an author's invalid escape is not our news
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        faults.error(path, line, "syntax", f"This is not valid Python: {reason}.")
        return None


def _typed_parameters(
    path: str, main: ast.FunctionDef, arguments: list[ast.arg], faults: Faults
) -> tuple[Parameter, ...]:
    """In the order of the decorators, then of the signature."""
    described = _parameters(main)
    order = list(described)
    parameters = [
        Parameter(
            name=argument.arg,
            type=_type(path, main.name, argument, faults),
            description=described.pop(argument.arg, ""),
        )
        for argument in arguments
    ]
    for name in described:
        faults.warn(
            path, main.lineno, "parameter", f"@func_parameter describes {name!r}, which {main.name} does not take."
        )
    parameters.sort(key=lambda p: order.index(p.name) if p.name in order else len(order))
    return tuple(parameters)


def variables(content: bytes) -> set[str]:
    """Names that this file reads or sets on conv.state."""
    return set(_VARIABLE.findall(content.decode("utf-8", "replace")))


def _decorated(main: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Call) for d in main.decorator_list)


def _decorator_calls(main: ast.FunctionDef, name: str) -> list[ast.Call]:
    return [
        d
        for d in main.decorator_list
        if isinstance(d, ast.Call)
        and (d.func.attr if isinstance(d.func, ast.Attribute) else getattr(d.func, "id", "")) == name
    ]


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _description(main: ast.FunctionDef) -> str:
    for call in _decorator_calls(main, "func_description"):
        text = _literal(call.args[0]) if call.args else None
        return text.strip() if isinstance(text, str) else ""
    return ""


def _parameters(main: ast.FunctionDef) -> dict[str, str]:
    found = {}
    for call in _decorator_calls(main, "func_parameter"):
        values = [_literal(a) for a in call.args]
        if len(values) >= 2 and all(isinstance(v, str) for v in values[:2]):
            found[values[0]] = values[1].strip()
    return found


def _type(path: str, stem: str, argument: ast.arg, faults: Faults) -> ParameterType:
    annotation = argument.annotation
    name = annotation.id if isinstance(annotation, ast.Name) else None
    if name in TYPES:
        return TYPES[name]
    if annotation is not None:
        wanted = ", ".join(TYPES)
        faults.warn(
            path,
            argument.lineno,
            "annotation",
            f"{stem}({argument.arg}) should be annotated with one of {wanted}; taken as str.",
        )
    return "string"


def _delay(path: str, main: ast.FunctionDef, faults: Faults) -> DelayControl | None:
    for call in _decorator_calls(main, "func_latency_control"):
        values = {k.arg: _literal(k.value) for k in call.keywords if k.arg}
        messages = values.get("delay_responses") or []
        if not isinstance(messages, list) or not all(isinstance(m, tuple) and len(m) == 2 for m in messages):
            faults.warn(
                path,
                main.lineno,
                "delay",
                "delay_responses should be a list of (message, seconds) pairs; it is ignored.",
            )
            messages = []
        return DelayControl(
            start_after=float(values.get("delay_before_responses_start") or 0),
            silence_between=float(values.get("silence_after_each_response") or 0),
            # Some tools write the duration in milliseconds; nobody waits a minute between two words.
            messages=tuple(
                (str(text), d / 1000 if d > 60 else float(d)) for text, d in messages if isinstance(d, (int, float))
            ),
        )
    return None


def _warn_of_missing_features(path: str, module: ast.Module, faults: Faults) -> None:
    """Names the members of `conv` that this version answers with NotImplementedError."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id == "conv" and node.attr in LATER:
            faults.warn(
                path,
                node.lineno,
                "not-implemented",
                f"conv.{node.attr} ({LATER[node.attr]}) is not implemented yet: using it raises NotImplementedError.",
            )
