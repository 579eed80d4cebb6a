"""The record on SQLite, sealed: what a conversation said can be opened only with its own key."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from vivavoce.domain.audit import AuditEntry, AuditRecord, Verdict
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.erasure import Receipt as ErasureReceipt
from vivavoce.domain.principal import Key
from vivavoce.store import codec
from vivavoce.store.interface import Reply
from vivavoce.store.sqlite import auditing
from vivavoce.store.sqlite.places import (
    SQL,
    at,
    encode,
    moment,
)
from vivavoce.store.sqlite.tallying import Tallying
from vivavoce.store.sqlite.writing import Writing

log = logging.getLogger(__name__)

_decode_files = msgspec.msgpack.Decoder(dict[str, bytes]).decode
_decode_receipt = msgspec.json.Decoder(ErasureReceipt).decode
_decode_key = msgspec.json.Decoder(Key).decode


class SqliteStore(Tallying, Writing):
    """The whole store; conversations are in `writing` and `reading`, facts and work in files of their own."""

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    async def put_tree(self, tree: Tree) -> None:
        files = codec.compress(msgspec.msgpack.encode(tree.files))
        values = {"hash": tree.hash, "files": files, "created_at": at(datetime.now(UTC))}
        await self._do(lambda c: c.execute(SQL["put_tree"], values) and None)

    async def get_tree(self, hash: str) -> Tree | None:
        row = await self._read(lambda c: c.execute(SQL["get_tree"], {"hash": hash}).fetchone())
        return Tree(hash=hash, files=_decode_files(codec.decompress(row[0]))) if row else None

    async def add_deployment(self, deployment: Deployment) -> None:
        values = {**msgspec.structs.asdict(deployment), "created_at": at(deployment.created_at)}
        await self._do(lambda c: c.execute(SQL["add_deployment"], values) and None)

    async def active_deployment(self, account_id: str, agent_id: str, environment: str) -> Deployment | None:
        values = {"account_id": account_id, "agent_id": agent_id, "environment": environment}
        row = await self._read(lambda c: c.execute(SQL["active_deployment"], values).fetchone())
        if row is None:
            return None
        id_, account, agent, env, tree, created = row
        return Deployment(
            id=id_, account_id=account, agent_id=agent, environment=env, tree=tree, created_at=moment(created)
        )

    async def accounts_of(self, agent_id: str) -> Sequence[str]:
        return await self._read(lambda c: [row[0] for row in c.execute(SQL["accounts_of"], {"agent_id": agent_id})])

    async def agents(self) -> Sequence[tuple[str, str]]:
        return await self._read(lambda c: [(row[0], row[1]) for row in c.execute(SQL["agents"])])

    async def size(self) -> int:
        return await asyncio.to_thread(self._database.size)

    async def cut_log(self) -> bool:
        return await self._database.cut_log()

    async def put_receipt(self, receipt: ErasureReceipt) -> None:
        values = {"id": receipt.id, "body": encode(receipt)}
        await self._do(lambda c: c.execute(SQL["put_receipt"], values) and None)

    async def receipt(self, id: str) -> ErasureReceipt | None:
        row = await self._read(lambda c: c.execute(SQL["get_receipt"], {"id": id}).fetchone())
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
        values = {"name": self._keyring.name("reply", account_id, key), "now": at(now)}
        row = await self._read(lambda c: c.execute(SQL["get_reply"], values).fetchone())
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
        await self._do(lambda c: c.execute(SQL["put_key"], values) and None)

    async def keys(self) -> Sequence[Key]:
        rows = await self._read(lambda c: c.execute(SQL["get_keys"]).fetchall())
        found = []
        for id_, body, proof in rows:
            key = _decode_key(body)
            if proof is None or not hmac.compare_digest(proof, self._keyring.proof(b"key", body)) or key.id != id_:
                log.error("an API key in the database was not made by this program; it is not taken: id=%s", key.id)
            else:
                found.append(key)
        return found

    async def put_key_use(self, key_id: str, used_at: datetime) -> None:
        await self._do(lambda c: c.execute(SQL["put_key_use"], {"key": key_id, "at": at(used_at)}) and None)

    async def key_uses(self) -> dict[str, datetime]:
        return await self._read(lambda c: {key: moment(used) for key, used in c.execute(SQL["get_key_uses"])})
