"""The routes of the field's command-line client: snake_case where the public API has camelCase."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from vivavoce.domain.branch import Branch, Step
from vivavoce.wire.times import iso

_CAPITAL = re.compile("[A-Z]")


class AdkChatBody(Struct, frozen=True, kw_only=True):
    client_env: str
    channel: str | None = None
    variant_id: str | None = None
    asr_lang_code: str | None = None
    tts_lang_code: str | None = None
    sip_headers: dict[str, str] | None = None


class AdkDraftChatBody(Struct, frozen=True, kw_only=True):
    artifact_version: str
    lambda_deployment_version: str | None = None
    channel: str | None = None
    variant_id: str | None = None
    asr_lang_code: str | None = None
    tts_lang_code: str | None = None
    sip_headers: dict[str, str] | None = None


class AdkExpectedBody(Struct, frozen=True, kw_only=True, rename="camel"):
    expected_branch_last_known_sequence: int | None = None


class AdkRenameBody(Struct, frozen=True, kw_only=True):
    name: str


class AdkTagBody(Struct, frozen=True, kw_only=True):
    tag: str


class AdkRespondBody(Struct, frozen=True, kw_only=True):
    message: str = ""
    client_env: str | None = None
    asr_lang_code: str | None = None
    tts_lang_code: str | None = None


class AdkEndBody(Struct, frozen=True, kw_only=True):
    client_env: str | None = None


class AdkAccount(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    active: bool = True


class AdkProject(Struct, frozen=True, kw_only=True):
    id: str
    name: str


class AdkProjects(Struct, frozen=True, kw_only=True):
    projects: list[AdkProject]


def accounts(ids: Iterable[str]) -> list[AdkAccount]:
    return [AdkAccount(id=id, name=id) for id in ids]


def reply(debug_chat: Any) -> dict[str, Any]:
    """A debug chat's reply. What stands in lists within it has the same spelling in both."""
    body = _snake(debug_chat)
    return {**body, "metadata": _snake(body["metadata"])}


def _snake(shape: Any) -> dict[str, Any]:
    fields = msgspec.structs.asdict(shape) if isinstance(shape, Struct) else shape
    return {
        _CAPITAL.sub(lambda found: "_" + found[0].lower(), name): value
        for name, value in fields.items()
        if value is not UNSET
    }


def archived(found: Sequence[Branch]) -> dict[str, Any]:
    """Nothing is removed from the archive by itself, so there is no number of days that is left."""
    return {
        "branches": [
            {
                "branchId": branch.id,
                "name": branch.name,
                "parentBranchId": branch.parent,
                "archivedAt": iso(branch.archived_at),
                "daysLeft": None,
            }
            for branch in found
        ]
    }


def merges(steps: Sequence[Step]) -> dict[str, Any]:
    """Newest first."""
    return {
        "merges": [
            {"mergedAt": iso(step.at), "branchName": step.other, "mergedBy": step.by, "message": step.message}
            for step in reversed(steps)
            if step.kind in ("merge", "sync")
        ]
    }


def pushed(branch: Branch) -> dict[str, Any]:
    sequence = {"low": branch.sequence, "high": 0, "unsigned": True}
    return {"events": [], "sequenceId": sequence, "lastKnownSequence": str(branch.sequence)}


def templates(found: Mapping[str, str]) -> dict[str, Any]:
    """name -> description. The client finds one by `displayName`, and asks for it by `id`."""
    return {
        "templates": [
            {"id": name, "name": name, "displayName": name, "description": text} for name, text in found.items()
        ]
    }
