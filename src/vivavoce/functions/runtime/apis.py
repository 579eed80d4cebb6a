"""`conv.api.<integration>.<operation>(...)`: the server makes the call; author code gets a requests.Response."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from vivavoce.functions.runtime import values
from vivavoce.functions.runtime.session import AskFailed, Running, sendable

_OPTIONS = ("params", "json", "data", "headers", "timeout")


class ApiExecutor:
    def __init__(self, apis: dict[str, list[str]]) -> None:
        self._apis = apis

    def __getattr__(self, name: str) -> _Integration:
        if name.startswith("__") or name not in self._apis:
            raise AttributeError(f"there is no API integration named {name!r}")
        return _Integration(name, self._apis[name])


class _Integration:
    def __init__(self, name: str, operations: list[str]) -> None:
        self._name, self._operations = name, operations

    def __getattr__(self, name: str) -> _Operation:
        if name.startswith("__") or name not in self._operations:
            raise AttributeError(f"API integration {self._name!r} has no operation named {name!r}")
        return _Operation(self._name, name)


class _Operation:
    def __init__(self, integration: str, name: str) -> None:
        self._integration, self._name = integration, name

    def __call__(self, *path_variables: Any, **given: Any) -> Any:
        """Path variables by position or by name; `params`, `json`, `data`, `headers` and `timeout` as `requests` has them."""
        assert Running.channel is not None
        body = {key: _sent(given.pop(key, None), is_raw=key == "data") for key in _OPTIONS}
        body.update(
            integration=self._integration,
            operation=self._name,
            positional=[sendable(v) for v in path_variables],
            named={name: sendable(value) for name, value in given.items()},
        )
        try:
            return _response(Running.channel.ask("api", body))
        except AskFailed as error:
            raise _raised(error) from None


def _sent(value: Any, *, is_raw: bool) -> Any:
    if is_raw and isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return sendable(value) if value is not None else None


def _response(answer: dict[str, Any]) -> Any:
    import requests  # noqa: PLC0415  # slow; imported before the fork where the folder has integrations

    response = requests.Response()
    response.status_code = answer["status"]
    response.reason = answer["reason"]
    response.headers = requests.structures.CaseInsensitiveDict(answer["headers"])
    response.url = answer["url"]
    response.elapsed = timedelta(seconds=answer["seconds"])
    response.encoding = requests.utils.get_encoding_from_headers(response.headers)
    response._content = answer["body"]
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = answer["method"], answer["url"]
    response.request = prepared
    return response


def _raised(error: AskFailed) -> Exception:
    import requests  # noqa: PLC0415

    match error.code:
        case "OUTBOUND_TIMEOUT":
            return requests.Timeout(str(error))
        case "SECRET_NOT_FOUND" | "SECRET_FORBIDDEN":
            return values.SecretNotFound(str(error))
        case "INVALID_INPUT":
            return values.InvalidInput(str(error))
        case _:
            return requests.ConnectionError(str(error))
