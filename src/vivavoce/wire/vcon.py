"""Conversations as vCons, after draft-ietf-vcon-vcon-core-04 (syntax 0.4.0): out of what a list shows, and in from anybody's.

Texts are dialogs, summary and score are analyses. Our own whole record may lie beside them as an attachment: then it comes back
as it was. A vCon without it becomes a conversation of its texts.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from vivavoce.domain.conversation import Conversation, Notice, Turn, UserInput
from vivavoce.domain.record import Record
from vivavoce.wire import jws

SYNTAX = "0.4.0"
RECORD_PURPOSE = "vivavoce-record"
_USER, _AGENT, _RECORDER = 0, 1, 2  # places in `parties`
MOST_DIALOGS = 20_000


class VconInvalid(ValueError):
    """It is no vCon that can become a conversation; the message says why."""


def vcon_id(account_id: str, agent_id: str, conversation_id: str) -> str:
    """The same conversation always has the same UUID (version 8)."""
    digest = bytearray(
        hashlib.sha256("\0".join((account_id, agent_id, conversation_id)).encode("utf-8", "replace")).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def vcon(summary: Mapping[str, Any], turns: Sequence[Mapping[str, Any]], record: bytes | None) -> dict[str, Any]:
    """`summary` and `turns` as the lists write them (camelCase; version 3), with or without personal data."""
    dialogs: list[dict[str, Any]] = []
    for turn in turns:
        said = turn["user_input"] or turn["user_input_dtmf"]
        if said:
            dialogs.append(_dialog(said, turn["user_input_datetime"], [_USER, _AGENT]))
        if turn["agent_response"]:
            dialogs.append(_dialog(turn["agent_response"], turn["agent_response_datetime"], [_AGENT, _USER]))
    number, agents = summary["fromNumber"], summary["toNumber"]
    if summary["direction"] == "outbound":
        number, agents = agents, number
    user: dict[str, Any] = {"type": "person", **_reached(number)}
    found: dict[str, Any] = {
        "vcon": SYNTAX,
        "uuid": vcon_id(summary["accountId"], summary["projectId"], summary["conversationId"]),
        "created_at": summary["startedAt"],
        "updated_at": summary["finishedAt"] or summary["startedAt"],
        "parties": [
            user if number else {**user, "name": "anonymous"},
            {"type": "bot", "name": summary["projectId"], "org": summary["accountId"], **_reached(agents)},
        ],
        "dialog": dialogs,
        "analysis": _analyses(summary, len(dialogs)),
        "attachments": [],
    }
    heading = (summary["shortSummary"] or {}).get("heading")
    if heading:
        found["subject"] = heading
    if record is not None:
        found["parties"].append({"type": "organization", "name": "vivavoce"})
        found["attachments"].append(
            {
                "purpose": RECORD_PURPOSE,
                "start": summary["startedAt"],
                "party": _RECORDER,
                "dialog": 0,
                "mediatype": "application/json",
                "encoding": "json",
                "body": Raw(record),
            }
        )
    return found


def _dialog(text: str, start: str, parties: list[int]) -> dict[str, Any]:
    return {
        "type": "text",
        "start": start,
        "parties": parties,
        "mediatype": "text/plain",
        "body": text,
        "encoding": "none",
    }


def _reached(number: str | None) -> dict[str, str]:
    if not number:
        return {}
    return {"mailto": number} if "@" in number else {"tel": number}


def _analyses(summary: Mapping[str, Any], dialogs: int) -> list[dict[str, Any]]:
    about = {"dialog": list(range(dialogs)), "vendor": "vivavoce", "encoding": "json", "mediatype": "application/json"}
    facts = {
        name: summary[name]
        for name in (
            "conversationId", "channel", "clientEnv", "direction", "language", "variantId", "deploymentId", "duration", "endReason",
            "handoff", "handoffDestination", "handoffReason", "tags", "note",
        )
    }  # fmt: skip
    found = [{"type": "report", "schema": "conversation", "body": facts, **about}]
    if summary["shortSummary"]:
        found.append({"type": "summary", "schema": "short_summary", "body": summary["shortSummary"], **about})
    if summary["score"]:
        found.append({"type": "report", "schema": "poly_score", "body": summary["score"], **about})
    return found


# In.


class _Party(Struct, frozen=True):
    tel: str | None = None
    sip: str | None = None
    mailto: str | None = None
    name: str | None = None
    type: str | None = None
    role: str | None = None

    @property
    def is_agent(self) -> bool:
        return self.type == "bot" or (self.role or "").lower() in ("agent", "bot", "assistant")

    @property
    def number(self) -> str | None:
        found = self.tel or self.mailto or self.sip
        return found.removeprefix("tel:").removeprefix("mailto:")[:200] if found else None


class _Dialog(Struct, frozen=True):
    type: str = ""
    start: datetime | None = None
    parties: Any = None
    originator: int | None = None
    body: Any = None
    encoding: str = "none"
    mediatype: str = "text/plain"


class _Vcon(Struct, frozen=True):
    uuid: str
    created_at: datetime
    critical: list[str] = []
    parties: list[_Party] = []
    dialog: list[_Dialog] = []


class _OurLine(Struct, frozen=True):
    purpose: str | None = None
    body: Raw = Raw(b"null")


class _Ours(Struct, frozen=True):
    attachments: list[_OurLine] = []


_decode = msgspec.json.Decoder(_Vcon).decode
_decode_ours = msgspec.json.Decoder(_Ours).decode


def unsigned(body: bytes) -> bytes:
    """The vCon itself; of a signed one, if the signature fits. Raises VconInvalid."""
    try:
        found = msgspec.json.decode(body)
        if not isinstance(found, dict):
            raise VconInvalid("is no JSON object")
        if "ciphertext" in found:
            raise VconInvalid("is encrypted; decrypt it first")
        return jws.opened(found) if "signatures" in found else body
    except jws.JwsInvalid as error:
        raise VconInvalid(f"is not taken: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VconInvalid(f"is no JSON: {error}") from error


def record_within(body: bytes) -> bytes | None:
    """Our own record that lies in a vCon, as `vcon` was given it; None where there is none."""
    try:
        ours = [a.body for a in _decode_ours(body).attachments if a.purpose == RECORD_PURPOSE]
    except msgspec.ValidationError as error:
        raise VconInvalid(f"is no vCon: {error}") from error
    return bytes(ours[0]) if ours else None


def record_of(body: bytes, account_id: str, agent_id: str) -> Record:
    """A conversation of a vCon's texts. Raises VconInvalid. Recordings are left out."""
    try:
        found = _decode(body)
    except msgspec.ValidationError as error:
        raise VconInvalid(f"is no vCon: {error}") from error
    if found.critical:
        raise VconInvalid(f"needs extensions that are not known here: {', '.join(found.critical)[:200]}")
    if len(found.dialog) > MOST_DIALOGS:
        raise VconInvalid(f"has {len(found.dialog):,} dialogs; at most {MOST_DIALOGS:,} are taken")
    told = {n for n, party in enumerate(found.parties) if party.is_agent}
    agents = told or {1}
    texts = sorted(
        ((_moment(d, found.created_at), _speaker(d) in agents, _text(d)) for d in found.dialog if d.type == "text"),
        key=lambda said: said[0],
    )
    if not any(text for _, _, text in texts):
        raise VconInvalid("holds no text of anybody; recordings alone cannot be taken in")
    turns = _turns([said for said in texts if said[2]])
    user = next((party for n, party in enumerate(found.parties) if n not in agents), _Party())
    # Only an agent's own number is shown to everybody: one that is merely guessed to be may be a customer's.
    agent = next((party for n, party in enumerate(found.parties) if n in told), _Party())
    head = Conversation(
        account_id=account_id,
        agent_id=agent_id,
        id=found.uuid,
        environment="live",
        channel="sip.polyai" if user.tel else "webchat.polyai",
        tree="",
        started_at=turns[0].started_at,
        finished_at=turns[-1].finished_at,
        last_turn_at=turns[-1].finished_at,
        turns=len(turns),
        from_number=user.number,
        to_number=agent.number,
        end_reason="client",
    )
    return Record(conversation=head, turns=tuple(turns))


def _moment(dialog: _Dialog, created_at: datetime) -> datetime:
    found = dialog.start or created_at
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _speaker(dialog: _Dialog) -> int:
    if dialog.originator is not None:
        return dialog.originator
    first = dialog.parties[0] if isinstance(dialog.parties, list) and dialog.parties else dialog.parties
    return first if isinstance(first, int) else 0


def _text(dialog: _Dialog) -> str:
    body = dialog.body
    if isinstance(body, str) and dialog.encoding == "base64url":
        try:
            body = jws.decoded(body).decode("utf-8")
        except ValueError:
            raise VconInvalid("has a text whose base64url cannot be read") from None
    return body.replace("\0", "") if isinstance(body, str) and dialog.mediatype.startswith("text/") else ""


def _turns(texts: Sequence[tuple[datetime, bool, str]]) -> list[Turn]:
    """What a user says begins a turn, unless nobody has answered yet; the greeting is turn 0, said or not."""
    imported = Notice(
        code="IMPORTED", message="This conversation came in as a vCon: only what was said is known of it."
    )
    first = texts[0][0]
    parts: list[tuple[datetime, datetime, list[str], list[str]]] = [(first, first, [], [])]  # begin, end, heard, said
    for at, is_agent, text in texts:
        begun, _, heard, said = parts[-1]
        if is_agent:
            said.append(text)
        elif len(parts) > 1 and not said:
            heard.append(text)
        else:
            begun, heard, said = at, [text], []
            parts.append((begun, at, heard, said))
        parts[-1] = (begun, at, heard, said)
    return [
        Turn(
            index=index,
            started_at=begun,
            finished_at=ended,
            input=UserInput(text="\n".join(heard)),
            reply="\n".join(said),
            notices=() if index else (imported,),
        )
        for index, (begun, ended, heard, said) in enumerate(parts)
    ]
