"""A function's file and what the client makes of it: code without the standing import and without the decorators that describe it.

The client takes those out when it reads a file and writes them again, in one way only, when it pulls. What is served has to
be what it would read from what it would write, else every file that its author wrote a little differently counts as changed.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from vivavoce.errors import Invalid
from vivavoce.project.functions import TYPES

HEADER = "from _gen import *  # <AUTO GENERATED>\n"
_FLOW = re.compile(r"\bflows\.(\w+)\.functions\b")
_WORD = re.compile(r"\bfunctions\.(\w+)\b")
_IMPORT = re.compile(r"^from (?:_gen|imports) import \*[^\n]*\n", re.MULTILINE)
_COMMENT_BEHIND = re.compile(r":[ \t]{0,99}#")
DECORATORS = ("func_description", "func_parameter", "func_latency_control")
_QUOTES = ('"""', "'''")


class Parameter(Struct, frozen=True, kw_only=True):
    name: str
    type: str
    description: str


class Delay(Struct, frozen=True, kw_only=True):
    """What is said while a function takes its time; the messages with their seconds."""

    start_after: float = 0
    silence_between: float = 0
    messages: tuple[tuple[str, float], ...] = ()
    is_random: bool = False


class Code(Struct, frozen=True, kw_only=True):
    text: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    delay: Delay | None = None


def opened(source: str, name: str, flows: Mapping[str, str], *, is_step: bool = False) -> Code:
    """`flows` are the folders of flows with the words that stand for them where the client reads. A step is not described."""
    text = _FLOW.sub(lambda m: f"functions.{flows[m[1]]}" if m[1] in flows else m[0], _bare(source))
    found = _undecorated(_one_line_head(text, name), name)
    written = _dressed(_decorated(found, name, is_step))
    return _undecorated(_one_line_head(_bare(written), name), name)


def closed(code: Code, name: str, flows: Mapping[str, str], *, is_step: bool = False, over: str = "") -> str:
    """The file, as the client writes it; with the import and the decorators of the file `over`, where they say the same."""
    own = _own_decorators(over, code, name) if over else None
    if over and opened(over, name, flows, is_step=is_step).text == code.text:  # only what describes it has changed
        return _decorated(replace(code, text=_undecorated(over, name).text), name, is_step, own)
    folders = {word: folder for folder, word in flows.items()}
    text = _dressed(_decorated(code, name, is_step, own))
    if found := _standing_import(over):
        text = text.replace(HEADER, found, 1)
    return _WORD.sub(lambda m: f"flows.{folders[m[1]]}.functions" if m[1] in folders else m[0], text)


def _bare(source: str) -> str:
    return source.replace(_standing_import(source), "", 1).lstrip("\n")


def _standing_import(source: str) -> str:
    """Its line, or nothing: what stands in a text of the author's is no import."""
    found = _IMPORT.search(source)
    if found is None:
        return ""
    before = source[: found.start()]
    module = _module(source) if any(quote in before for quote in _QUOTES) else None
    if module is None:
        return found[0]
    lines = {node.lineno for node in module.body if isinstance(node, ast.ImportFrom)}
    return found[0] if before.count("\n") + 1 in lines else ""


def _end_of_docstring(text: str) -> int:
    """Where it ends; -1 where there is none, or none that a line ends with."""
    if not text.startswith(_QUOTES):
        return -1
    module = _module(text)
    if module is None:
        return -1
    first = module.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant) or first.end_lineno is None:
        return -1
    lines = _lines(text)
    last = lines[first.end_lineno - 1].encode()
    if last[first.end_col_offset :].strip():
        return -1
    return sum(map(len, lines[: first.end_lineno - 1])) + len(last[: first.end_col_offset].decode())


def _dressed(text: str) -> str:
    text = text.lstrip("\n")
    if (end := _end_of_docstring(text)) != -1:
        docstring, rest = text[:end], text[end:].lstrip("\n")
        return f"{docstring}\n\n{HEADER}{rest}" if _is_import(rest) else f"{docstring}\n{HEADER}\n{rest}"
    return HEADER + text if _is_import(text) else f"{HEADER}\n\n{text}"


def _is_import(text: str) -> bool:
    return text.startswith(("from ", "import "))


# The head of the main function stands on one line.


def _one_line_head(text: str, name: str) -> str:
    main = _main(text, name, is_plain=True)
    if main is None or main.col_offset:  # within something: the line would lose its indentation
        return text
    lines = _lines(text)
    first = main.lineno - 1
    last = next((n for n in range(first, len(lines)) if _ends_head(lines[n])), None)
    if last is None:
        return text
    head = " ".join(" ".join(lines[first : last + 1]).split())
    for found, wanted in (("( ", "("), (" )", ")"), (" :", ":")):
        head = head.replace(found, wanted)
    head = re.sub(r"\):[ ]?#", "):  #", re.sub(r",\):$", "):", head))
    found = "".join([*lines[:first], head, "\n", *lines[last + 1 :]])
    # A comment within would swallow what follows it, and a head is not what it seems where another line ends with a colon.
    return found if _main(found, name, is_plain=True) is not None else text


def _ends_head(line: str) -> bool:
    return line.rstrip().endswith(":") or _COMMENT_BEHIND.search(line) is not None


def _lines(text: str) -> list[str]:
    """As Python counts them: no other character than the end of a line ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _main(text: str, name: str, *, is_plain: bool = False) -> Any:
    """The first function of that name, wherever it stands."""
    module = _module(text)
    if module is None:
        return None
    kinds = (ast.FunctionDef,) if is_plain else (ast.FunctionDef, ast.AsyncFunctionDef)
    return next((node for node in ast.walk(module) if isinstance(node, kinds) and node.name == name), None)


@lru_cache(maxsize=4)  # the same text is looked at several times in a row
def _module(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# Decorators.


def _undecorated(text: str, name: str) -> Code:
    main = _main(text, name)
    description, parameters, delay = "", [], None
    taken: set[int] = set()
    for call in main.decorator_list if main is not None else ():
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            continue
        if call.func.id == "func_description" and (texts := _texts(call, 1)):
            description = texts[0].strip()
        elif call.func.id == "func_parameter" and (texts := _texts(call, 2)) and (kind := _type(main, texts[0])):
            parameters.append(Parameter(name=texts[0], type=kind, description=texts[1]))
        elif call.func.id == "func_latency_control":
            delay = _delay(call)
        else:
            continue
        taken.update(range(call.lineno - 1, call.end_lineno or call.lineno))
    lines = _lines(text)
    kept = "".join(line for number, line in enumerate(lines) if number not in taken) if taken else text
    return Code(text=kept, description=description, parameters=tuple(parameters), delay=delay)


def _own_decorators(source: str, code: Code, name: str) -> list[str] | None:
    """The lines that describe the function in a file, None where they say something else than is to be said."""
    found, main = _undecorated(source, name), _main(source, name)
    if main is None or (found.description, _described(found), found.delay) != (
        code.description,
        _described(code),
        code.delay,
    ):
        return None
    lines = _lines(source)
    return [
        line.rstrip("\n")
        for call in main.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in DECORATORS
        for line in lines[call.lineno - 1 : call.end_lineno]
    ]


def _described(code: Code) -> list[tuple[str, str]]:
    return [(each.name, each.description) for each in code.parameters]


def _texts(call: ast.Call, count: int) -> list[str]:
    found = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return found if len(found) == len(call.args) == count else []


def _type(main: Any, name: str) -> str | None:
    argument = next((each for each in main.args.args if each.arg == name), None)
    annotation = argument.annotation if argument is not None else None
    return TYPES.get(annotation.id) if isinstance(annotation, ast.Name) else None


def _delay(call: ast.Call) -> Delay:
    values: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg == "delay_responses" and isinstance(keyword.value, ast.List):
            pairs = [item.elts for item in keyword.value.elts if isinstance(item, ast.Tuple) and len(item.elts) == 2]
            values["messages"] = tuple((_constant(text, ""), _constant(seconds, 0)) for text, seconds in pairs)
        elif keyword.arg is not None:
            values[keyword.arg] = _constant(keyword.value, 0)
    return Delay(
        start_after=values.get("delay_before_responses_start", 0),
        silence_between=values.get("silence_after_each_response", 0),
        messages=values.get("messages", ()),
        is_random=bool(values.get("randomize", False)),
    )


def _constant(node: ast.expr, otherwise: Any) -> Any:
    value = node.value if isinstance(node, ast.Constant) else otherwise
    return value if isinstance(value, (type(otherwise), int, float)) else otherwise


def _decorated(code: Code, name: str, is_step: bool, own: list[str] | None = None) -> str:
    main = _main(code.text, name)
    described = not is_step and (code.description or code.parameters or code.delay)
    if not (described or code.delay):
        return code.text
    if main is None:
        if _module(code.text) is None:
            return code.text  # the folder's check will say where it is no Python
        raise Invalid(f"The code of {name!r} has no function {name} that its description could stand at.")
    lines = _lines(code.text)
    place = main.lineno - 1
    indent = lines[place][: len(lines[place]) - len(lines[place].lstrip(" \t"))]
    place = min([place, *(each.lineno - 1 for each in main.decorator_list)])
    if own is not None:
        return "".join([*lines[:place], *(f"{line}\n" for line in own), *lines[place:]])
    written = []
    if described:
        written.append(f"@func_description({code.description!r})")
        written += [f"@func_parameter({each.name!r}, {each.description!r})" for each in code.parameters]
    if code.delay is not None:
        written.append(f"@func_latency_control({_arguments(code.delay)})")
    return "".join([*lines[:place], *(f"{indent}{line}\n" for line in written), *lines[place:]])


def _arguments(delay: Delay) -> str:
    found = [
        f"delay_before_responses_start={delay.start_after!r}",
        f"silence_after_each_response={delay.silence_between!r}",
    ]
    if delay.messages:
        pairs = ", ".join(f"({text!r}, {seconds!r})" for text, seconds in delay.messages)
        found.append(f"delay_responses=[{pairs}]")
    if delay.is_random:
        found.append("randomize=True")
    return ", ".join(found)
