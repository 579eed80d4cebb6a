"""What an operator wants to know of the server itself: the table of work, the space it takes, how it is set up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from vivavoce.domain.clock import Clock
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria
from vivavoce.domain.work import Waiting
from vivavoce.errors import Forbidden
from vivavoce.service.access import require
from vivavoce.service.deployments import Deployments
from vivavoce.store.interface import Store


class Kept(Struct, frozen=True, kw_only=True):
    """How much there is of an agent's record."""

    account_id: str
    agent_id: str
    conversations: int
    is_exact: bool
    live: int


class Operations:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        deployments: Deployments,
        readiness: Callable[[], dict[str, Any]],
        metrics: Callable[[], bytes],
        *,
        model: str,
    ) -> None:
        """`model` is the name of the one that answers."""
        self.model = model
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._deployments = deployments
        self._readiness = readiness
        self._is_stopping = False

    def stop(self) -> None:
        """From now on whoever asks is told to send its work elsewhere."""
        self._is_stopping = True

    @property
    def is_ready(self) -> bool:
        return not self._is_stopping

    def readiness(self) -> dict[str, Any]:
        """What `/readyz` tells everybody."""
        return {**self._readiness(), **({"status": "stopping"} if self._is_stopping else {})}

    def metrics(self, principal: Principal) -> bytes:
        """This process in numbers, as Prometheus reads them: those of all accounts."""
        _require_operator(principal)
        return self._metrics()

    async def queue(self, principal: Principal) -> Sequence[Waiting]:
        """The background work of all accounts: for the operator."""
        _require_operator(principal)
        return await self._store.waiting(self._clock.now())

    async def size(self, principal: Principal) -> int:
        """Bytes of the database."""
        _require_operator(principal)
        return await self._store.size()

    async def kept(self, principal: Principal) -> list[Kept]:
        """By agent, of those that the principal may see."""
        require(principal, "read")
        found = []
        for known in await self._deployments.agents(principal):
            place = (known.account_id, known.agent_id)
            every = await self._store.count(*place, Criteria())
            live = await self._store.count(*place, Criteria(in_progress=True))
            found.append(
                Kept(
                    account_id=known.account_id,
                    agent_id=known.agent_id,
                    conversations=every.number,
                    is_exact=every.is_exact,
                    live=live.number,
                )
            )
        return found


def is_operator(principal: Principal) -> bool:
    return "admin" in principal.permissions and principal.account_id is None and principal.agents is None


def _require_operator(principal: Principal) -> None:
    require(principal, "admin")
    if not is_operator(principal):
        raise Forbidden("This is of all accounts, so only the operator's key may see it.")
