"""The audit log: who saw personal data and who changed what, written before they are answered."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoce.domain.audit import Action, AuditEntry, AuditRecord, Verdict
from vivavoce.domain.clock import Clock
from vivavoce.domain.erasure import Signer
from vivavoce.domain.principal import Principal
from vivavoce.errors import Forbidden
from vivavoce.service.access import require
from vivavoce.store.interface import Store

BLOCK = 500  # entries that are read at once
MOST_BLOCKS = 20  # that are looked through for the newest


class Audit:
    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer

    async def note(
        self,
        principal: Principal,
        action: Action,
        account_id: str = "",
        agent_id: str = "",
        about: str = "",
        **detail: int | str | list[str],
    ) -> None:
        """`about` is an id or a caller; only its keyed hash is kept. `detail` must hold no values of a conversation."""
        await self._store.append_audit(
            AuditEntry(
                at=self._clock.now(),
                action=action,
                key_id=principal.key_id,
                account_id=account_id,
                agent_id=agent_id,
                subject=self.subject(account_id, agent_id, about) if about else "",
                detail=detail,
            )
        )

    def subject(self, account_id: str, agent_id: str, about: str) -> str:
        """What stands for an id in the log and in receipts: the same each time, and no way back from it."""
        return self._signer.name("subject", account_id, agent_id, about).hex()

    async def list(self, principal: Principal, *, after: int, limit: int) -> Sequence[AuditRecord]:
        """In order. A key of one account sees the entries of that account."""
        require(principal, "admin")
        found: list[AuditRecord] = []
        while len(found) < limit:
            records = await self._store.audit(after=after, limit=limit)
            found += [r for r in records if _is_of(r, principal)]
            if len(records) < limit:
                break
            after = records[-1].number
        return found[:limit]

    async def newest(self, principal: Principal, *, limit: int) -> Sequence[AuditRecord]:
        """The last entries that the principal may see, the newest first, out of the last ten thousand of all."""
        require(principal, "admin")
        found: list[AuditRecord] = []
        before: int | None = None
        for _ in range(MOST_BLOCKS):
            records = await self._store.newest_audit(before=before, limit=BLOCK)
            found += [r for r in records if _is_of(r, principal)]
            if len(records) < BLOCK or len(found) >= limit:
                break
            before = records[-1].number
        return found[:limit]

    async def verify(self, principal: Principal) -> Verdict:
        """Reads the whole chain, which is of all accounts: for the operator."""
        require(principal, "admin")
        if principal.account_id is not None or principal.agents is not None:
            raise Forbidden("The audit log is one for all accounts, so only the operator's key can verify it.")
        return await self._store.verify_audit()


def _is_of(record: AuditRecord, principal: Principal) -> bool:
    entry = record.entry
    is_own = principal.account_id in (None, entry.account_id)
    return is_own and (principal.agents is None or entry.agent_id in principal.agents)
