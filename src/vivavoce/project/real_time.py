"""real_time_configuration/: a JSON Schema and data for each environment, and whether the one holds for the other."""

from __future__ import annotations

from typing import Any

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


def page_of(environment: str) -> str | None:
    """The page that an environment reads: a draft shares the sandbox's."""
    return _PAGE_OF.get(environment)


def schema_problem(schema: dict[str, Any]) -> str | None:
    """What is wrong with a schema, or None. References to other documents are never fetched."""
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415  # slow to load, and seldom needed

    try:
        _validator_class().check_schema(schema)
    except SchemaError as error:
        return f"{_where(error)}: {error.message[:300]}"
    except RecursionError:
        return "it is nested too deeply"
    return None


def data_problems(schema: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """In what the data is not as the schema wants it; at most a few."""
    import referencing  # noqa: PLC0415
    import referencing.exceptions  # noqa: PLC0415

    if not schema:
        return []
    validator = _validator_class()(schema, registry=referencing.Registry())
    found: list[str] = []
    try:
        for error in validator.iter_errors(data):
            found.append(f"{_where(error)}: {error.message[:300]}")
            if len(found) == MAX_PROBLEMS:
                break
    except referencing.exceptions.Unresolvable as error:
        found.append(f"the schema refers to {str(error)[:200]}, which is not in it")
    except (TimeoutError, RecursionError):
        found.append("the schema takes too long to check")
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
