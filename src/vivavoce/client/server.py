"""What belongs to the server: keys, receipts, the audit log, and whether it is there."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from vivavoce.client.operation import Given, Group, X, operation
from vivavoce.wire.erasure import AuditResponse, ReceiptResponse, VerdictResponse
from vivavoce.wire.keys import CreatedKeyResponse, CreateKeyBody, KeyResponse, KeysResponse

Permission: TypeAlias = Literal["chat", "read", "write", "pii", "admin"]


class Server(Group[X]):
    @operation("POST", "/v1/keys", CreatedKeyResponse)
    def create_key(
        self,
        name: str,
        *,
        permissions: Sequence[Permission] | None = None,
        agents: Sequence[str] | None = None,
        account_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> Given:
        """Its text is in this answer and nowhere else. Without permissions it has every one, without agents it is for all."""
        body = CreateKeyBody(
            name=name,
            permissions=[*permissions] if permissions is not None else None,
            agents=[*agents] if agents is not None else None,
            account_id=account_id,
            expires_at=expires_at.isoformat() if expires_at is not None else None,
        )
        return Given((), body=body)

    @operation("GET", "/v1/keys", KeysResponse)
    def keys(self) -> Given:
        return Given()

    @operation("DELETE", "/v1/keys/{keyId}", KeyResponse)
    def revoke_key(self, key_id: str) -> Given:
        """By its id, or by its name where only one has it."""
        return Given((key_id,))

    @operation("GET", "/v1/erasures/{receiptId}", ReceiptResponse)
    def receipt(self, receipt_id: str) -> Given:
        return Given((receipt_id,))

    @operation("GET", "/v1/audit", AuditResponse)
    def audit(self, *, after: int = 0, limit: int | None = None) -> Given:
        """Who saw personal data and who changed what, from after that number on."""
        return Given((), {"after": after, "limit": limit})

    @operation("GET", "/v1/audit/verify", VerdictResponse)
    def verify_audit(self) -> Given:
        return Given()

    @operation("GET", "/openapi.json", builtins.dict[str, Any])
    def openapi(self) -> Given:
        return Given()

    @operation("GET", "/healthz", builtins.dict[str, Any])
    def health(self) -> Given:
        return Given()

    @operation("GET", "/readyz", builtins.dict[str, Any])
    def readiness(self) -> Given:
        """Whether it takes work, how many agents it serves, and which guards hold around author code."""
        return Given()

    @operation("GET", "/metrics", bytes, accept="text/plain")
    def metrics(self) -> Given:
        """The process that answers, in numbers, as Prometheus reads them; for the operator."""
        return Given()
