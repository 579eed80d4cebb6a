"""What the engine asks of the keeper of secrets."""

from __future__ import annotations

from typing import Any, Protocol

from vivavoce.errors import VivavoceError


class SecretNotFound(VivavoceError):
    code = "SECRET_NOT_FOUND"
    status = 404


class SecretForbidden(VivavoceError):
    """The secret is there, for other agents."""

    code = "SECRET_FORBIDDEN"
    status = 403


class Secrets(Protocol):
    def get(self, agent_id: str, name: str) -> str | dict[str, Any]:
        """Raises SecretNotFound or SecretForbidden; neither says anything of what is there."""
        ...

    def mask(self, agent_id: str, text: str) -> str:
        """The text with every secret value that the agent may have replaced by its name."""
        ...

    def has_any(self, agent_id: str) -> bool: ...
