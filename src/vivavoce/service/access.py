"""The one place that decides whether a principal may."""

from __future__ import annotations

from vivavoce.domain.principal import Permission, Principal
from vivavoce.errors import Forbidden

_NAMES = {
    "chat": "hold conversations",
    "read": "read conversations",
    "write": "change conversations and drafts",
    "pii": "see personal data",
    "admin": "administer",
}


def require(principal: Principal, permission: Permission, agent_id: str | None = None) -> None:
    """Raises Forbidden with the missing right by name."""
    if permission not in principal.permissions:
        raise Forbidden(f"This API key may not {_NAMES[permission]}; it lacks the permission {permission!r}.")
    if agent_id is not None:
        require_agent(principal, agent_id)


def require_agent(principal: Principal, agent_id: str) -> None:
    """Raises Forbidden when the key is for other agents."""
    if principal.agents is not None and agent_id not in principal.agents:
        raise Forbidden("This API key is for other agents.")
