"""Secrets held in memory: those of every agent, and those of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from vivavoce.secrets.interface import SecretForbidden, SecretNotFound

SHORTEST_MASKED = 6  # characters; shorter values occur in ordinary text

Values = Mapping[str, "str | dict[str, Any]"]


class MemorySecrets:
    def __init__(self, shared: Values | None = None, by_agent: Mapping[str, Values] | None = None) -> None:
        self._shared = dict(shared or {})
        self._by_agent = {agent: dict(values) for agent, values in (by_agent or {}).items()}
        self._pattern = lru_cache(maxsize=256)(self._make_pattern)

    def get(self, agent_id: str, name: str) -> str | dict[str, Any]:
        for values in (self._by_agent.get(agent_id, {}), self._shared):
            if name in values:
                return values[name]
        if any(name in values for values in self._by_agent.values()):
            raise SecretForbidden(f"The secret {name!r} is not for this agent.")
        raise SecretNotFound(
            f"There is no secret {name!r}; put it into the file that VIVAVOCE_SECRETS names, or set "
            f"VIVAVOCE_SECRET_{re.sub(r'[^A-Z0-9]', '_', name.upper())}."
        )

    def has_any(self, agent_id: str) -> bool:
        return bool(self._shared or self._by_agent.get(agent_id))

    def mask(self, agent_id: str, text: str) -> str:
        pattern, names = self._pattern(agent_id)
        return pattern.sub(lambda m: f"[secret {names[m.group()]}]", text) if pattern is not None else text

    def _make_pattern(self, agent_id: str) -> tuple[re.Pattern[str] | None, dict[str, str]]:
        names: dict[str, str] = {}
        for name, value in {**self._shared, **self._by_agent.get(agent_id, {})}.items():
            for text in _texts(value):
                if len(text) >= SHORTEST_MASKED:
                    names.setdefault(text, name)
        if not names:
            return None, names
        return re.compile("|".join(re.escape(t) for t in sorted(names, key=len, reverse=True))), names


# What a mapping of credentials holds beside its secrets: names and places that occur in ordinary text.
OPEN_KEYS = frozenset(
    ["username", "user", "header", "query", "token_url", "url", "client_id", "scope", "name", "account"]
)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in OPEN_KEYS:
                yield from _texts(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield str(value)
