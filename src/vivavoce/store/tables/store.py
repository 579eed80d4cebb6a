"""The record in tables, sealed: what a conversation said can be opened only with its own key."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from vivavoce.domain.audit import AuditEntry, AuditRecord, Verdict
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.erasure import Receipt as ErasureReceipt
from vivavoce.domain.principal import Key
from vivavoce.store import codec
from vivavoce.store.interface import Reply
from vivavoce.store.tables import auditing
from vivavoce.store.tables.claiming import Claiming
from vivavoce.store.tables.connection import moment
from vivavoce.store.tables.places import encode
from vivavoce.store.tables.tallying import Tallying
from vivavoce.store.tables.writing import Writing

log = logging.getLogger(__name__)

_decode_files = msgspec.msgpack.Decoder(dict[str, bytes]).decode
_decode_receipt = msgspec.json.Decoder(ErasureReceipt).decode
_decode_key = msgspec.json.Decoder(Key).decode


class TableStore(Tallying, Claiming, Writing):
    """The whole store on an engine; conversations are in `writing` and `reading`, the rest in files of its own."""

    async def open(self) -> None:
        await self._engine.database.open()

    async def close(self) -> None:
        await self._engine.database.close()

    async def put_tree(self, tree: Tree) -> None:
        files = codec.compress(msgspec.msgpack.encode(tree.files))
        values = {"hash": tree.hash, "files": files, "created_at": datetime.now(UTC)}
        await self._do(lambda c: c.run("put_tree", values))

    async def get_tree(self, hash: str) -> Tree | None:
        row = await self._read(lambda c: c.one("get_tree", {"hash": hash}))
        return Tree(hash=hash, files=_decode_files(codec.decompress(row[0]))) if row else None

    async def add_deployment(self, deployment: Deployment) -> None:
        await self._do(lambda c: c.run("add_deployment", msgspec.structs.asdict(deployment)))

    async def deployment(self, account_id: str, agent_id: str, id: str) -> Deployment | None:
        values = {"account_id": account_id, "agent_id": agent_id, "id": id}
        row = await self._read(lambda c: c.one("get_deployment", values))
        return _deployment(row) if row is not None else None

    async def deployments(
        self, account_id: str, agent_id: str, environment: str, *, limit: int
    ) -> Sequence[Deployment]:
        values = {"account_id": account_id, "agent_id": agent_id, "environment": environment, "limit": limit}
        return [_deployment(row) for row in await self._read(lambda c: c.all("list_deployments", values))]

    async def remove_deployments(self, account_id: str, agent_id: str) -> None:
        values = {"account_id": account_id, "agent_id": agent_id}
        await self._do(lambda c: c.run("remove_deployments", values))

    async def accounts_of(self, agent_id: str) -> Sequence[str]:
        rows = await self._read(lambda c: c.all("accounts_of", {"agent_id": agent_id}))
        return [account for (account,) in rows]

    async def agents(self) -> Sequence[tuple[str, str]]:
        return [(account, agent) for account, agent in await self._read(lambda c: c.all("agents"))]

    async def size(self) -> int:
        return await self._engine.database.size()

    async def cut_log(self) -> bool:
        return await self._engine.database.cut_log()

    async def drop_turns(self, before: datetime) -> Sequence[str]:
        return [month for (month,) in await self._do(lambda c: c.all("drop_turns", {"before": before}))]

    async def put_receipt(self, receipt: ErasureReceipt) -> None:
        values = {"id": receipt.id, "body": encode(receipt)}
        await self._do(lambda c: c.run("put_receipt", values))

    async def receipt(self, id: str) -> ErasureReceipt | None:
        row = await self._read(lambda c: c.one("get_receipt", {"id": id}))
        return _decode_receipt(row[0]) if row is not None else None

    async def append_audit(self, entry: AuditEntry) -> None:
        await self._do(lambda c: auditing.append(c, self._keyring, entry))

    async def audit(self, *, after: int = 0, limit: int) -> Sequence[AuditRecord]:
        return await self._read(lambda c: auditing.entries(c, after, limit))

    async def newest_audit(self, *, before: int | None, limit: int) -> Sequence[AuditRecord]:
        return await self._read(lambda c: auditing.newest(c, before, limit))

    async def verify_audit(self) -> Verdict:
        return await self._read(lambda c: auditing.verify(c, self._keyring))

    async def reply(self, account_id: str, key: str, now: datetime) -> Reply | None:
        values = {"name": self._keyring.name("reply", account_id, key), "now": now}
        row = await self._read(lambda c: c.one("get_reply", values))
        if row is None:
            return None
        _, wrapped, fingerprint, status, body, expires = row
        return Reply(
            account_id=account_id,
            key=key,
            fingerprint=fingerprint,
            status=status,
            body=self._keyring.unwrap(wrapped).open(body, b"reply"),
            expires_at=moment(expires),
        )

    async def put_key(self, key: Key) -> None:
        body = encode(key)
        values = {"id": key.id, "body": body, "proof": self._keyring.proof(b"key", body)}
        await self._do(lambda c: c.run("put_key", values))

    async def keys(self) -> Sequence[Key]:
        rows = await self._read(lambda c: c.all("get_keys"))
        found = []
        for id_, body, proof in rows:
            key = _decode_key(body)
            if proof is None or not hmac.compare_digest(proof, self._keyring.proof(b"key", body)) or key.id != id_:
                log.error("an API key in the database was not made by this program; it is not taken: id=%s", key.id)
            else:
                found.append(key)
        return found

    async def put_key_use(self, key_id: str, used_at: datetime) -> None:
        await self._do(lambda c: c.run("put_key_use", {"key": key_id, "at": used_at}))

    async def key_uses(self) -> dict[str, datetime]:
        return {key: moment(used) for key, used in await self._read(lambda c: c.all("get_key_uses"))}


def _deployment(row: Sequence[Any]) -> Deployment:
    id_, account, agent, environment, tree, created, kind, by, message, source, commit = row
    return Deployment(
        id=id_,
        account_id=account,
        agent_id=agent,
        environment=environment,
        tree=tree,
        created_at=moment(created),
        kind=kind,
        created_by=by,
        message=message,
        source=source,
        git_commit=commit,
    )
