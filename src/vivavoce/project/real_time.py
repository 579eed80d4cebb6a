"""real_time_configuration/: a JSON Schema and data for each environment, and whether the one holds for the other.

A schema can ask for more work than there is time, and its checker cannot be interrupted: it runs in a process of its own,
which is given a few seconds and a bounded memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import lru_cache
from typing import Any

import msgspec

from vivavoce.errors import NOT_JSON

SECONDS = 5
MEMORY_BYTES = 1 << 30
MATCH_SECONDS = 0.05  # for a pattern of a schema on one text
MAX_PROBLEMS = 5
PAGES = ("sandbox", "pre-release", "live")
FOLDER_OF = {"sandbox": "draft_and_sandbox", "pre-release": "pre_release", "live": "live"}
_PAGE_OF = {
    "draft": "sandbox",
    "sandbox": "sandbox",
    "draft_and_sandbox": "sandbox",
    "pre-release": "pre-release",
    "pre_release": "pre-release",
    "live": "live",
}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the schema, and in what the data does not fit it; at most a few."""

    schema: str | None = None
    data: tuple[str, ...] = ()


_decode = msgspec.json.Decoder(Checked).decode


def page_of(environment: str) -> str | None:
    """The page that an environment reads: a draft shares the sandbox's."""
    return _PAGE_OF.get(environment)


def check(schema: dict[str, Any], data: dict[str, Any] | None = None) -> Checked:
    """Takes a fraction of a second, and never more than a few; call it off the event loop."""
    return _check(msgspec.json.encode([schema, data])) if schema else Checked()


@lru_cache(maxsize=64)
def _check(question: bytes) -> Checked:
    command = [sys.executable, "-I", "-B", "-c", "from vivavoce.project.real_time import main; main()"]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and code; what is hostile comes in as data
            command,
            input=question,
            capture_output=True,
            timeout=SECONDS,
            env={},
            check=False,
        )
        return _decode(done.stdout)
    except subprocess.TimeoutExpired:
        return Checked(schema=f"checking it takes more than {SECONDS} s")
    except NOT_JSON:
        return Checked(schema="it asks for more than a check may take")


def main() -> None:
    """The process that checks: [schema, data] on its input, what is wrong on its output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    schema, data = msgspec.json.decode(sys.stdin.buffer.read())
    problem = _schema_problem(schema)
    problems = _data_problems(schema, data) if problem is None and data is not None else []
    sys.stdout.buffer.write(msgspec.json.encode(Checked(schema=problem, data=tuple(problems))))


def _schema_problem(schema: dict[str, Any]) -> str | None:
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415  # slow to load, and only this process needs it

    try:
        _validator_class().check_schema(schema)
    except SchemaError as error:
        return f"{_where(error)}: {error.message[:300]}"
    except Exception as error:  # noqa: BLE001  # whatever a schema does to its checker, it is the schema's fault
        return f"it cannot be used ({type(error).__name__})"
    return None


def _data_problems(schema: dict[str, Any], data: dict[str, Any]) -> list[str]:
    import referencing  # noqa: PLC0415

    found: list[str] = []
    try:
        # Without a way to retrieve documents: what a schema refers to is in it or nowhere.
        validator = _validator_class()(schema, registry=referencing.Registry())
        for error in validator.iter_errors(data):
            found.append(f"{_where(error)}: {error.message[:300]}")
            if len(found) == MAX_PROBLEMS:
                break
    except Exception as error:  # noqa: BLE001  # the same
        found.append(f"the schema cannot be used ({type(error).__name__}: {str(error)[:200]})")
    return found


def _where(error: Any) -> str:
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)


def _validator_class() -> Any:
    """The newest draft, with patterns searched under a time limit: a schema's pattern must not hold up the server."""
    import regex  # noqa: PLC0415
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415

    def pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Any:
        if isinstance(instance, str) and not regex.search(wanted, instance, timeout=MATCH_SECONDS):
            yield ValidationError(f"{instance[:80]!r} does not match {wanted!r}")

    def pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Any:
        if isinstance(instance, dict):
            for expression, subschema in wanted.items():
                for key, value in instance.items():
                    if regex.search(expression, key, timeout=MATCH_SECONDS):
                        yield from validator.descend(value, subschema, path=key, schema_path=expression)

    return extend(Draft202012Validator, {"pattern": pattern, "patternProperties": pattern_properties})
