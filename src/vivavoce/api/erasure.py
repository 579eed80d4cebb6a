"""Erasure, retention and the audit log over HTTP."""

from __future__ import annotations

from vivavoce.api.route import Answer, Call, Route
from vivavoce.domain.erasure import Retention
from vivavoce.wire.chat import encode
from vivavoce.wire.erasure import (
    AuditResponse,
    EraseCallerBody,
    ReceiptResponse,
    RetentionBody,
    VerdictResponse,
    audit_item,
    receipt_response,
)
from vivavoce.wire.query import Query

MAX_ENTRIES = 1_000


async def erase_conversation(call: Call) -> Answer:
    parameters = call.request.path_params
    receipt = await call.services.erasure.conversation(
        call.principal, parameters["agentId"], parameters["conversationId"]
    )
    return Answer(body=encode(receipt_response(receipt, call.services.erasure.public_key)))


async def erase_caller(call: Call) -> Answer:
    body: EraseCallerBody = call.body
    receipt = await call.services.erasure.caller(call.principal, call.request.path_params["agentId"], body.contact)
    return Answer(status=201, body=encode(receipt_response(receipt, call.services.erasure.public_key)))


async def get_receipt(call: Call) -> Answer:
    receipt = await call.services.erasure.receipt(call.principal, call.request.path_params["receiptId"])
    return Answer(body=encode(receipt_response(receipt, call.services.erasure.public_key)))


async def get_retention(call: Call) -> Answer:
    kept = await call.services.erasure.retention(call.principal, call.request.path_params["agentId"])
    return Answer(
        body=encode(RetentionBody(conversations=kept.conversations, details=kept.details, memory=kept.memory))
    )


async def put_retention(call: Call) -> Answer:
    body: RetentionBody = call.body
    wanted = Retention(conversations=body.conversations, details=body.details, memory=body.memory)
    await call.services.erasure.put_retention(call.principal, call.request.path_params["agentId"], wanted)
    return Answer(body=encode(body))


async def list_audit(call: Call) -> Answer:
    records = await call.services.audit.list(call.principal, after=call.query["after"], limit=call.query["limit"])
    return Answer(body=encode({"entries": [audit_item(record) for record in records]}))


async def verify_audit(call: Call) -> Answer:
    found = await call.services.audit.verify(call.principal)
    fault = found.fault
    return Answer(
        body=encode(
            VerdictResponse(
                is_whole=fault is None,
                entries=found.entries,
                head=found.head,
                fault=fault.message if fault is not None else None,
            )
        )
    )


ROUTES = (
    Route(
        method="DELETE",
        path="/v1/agents/{agentId}/conversations/{conversationId}",
        handler=erase_conversation,
        summary="Erase a conversation for good; the reply is a signed receipt.",
        permission="admin",
        response=ReceiptResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="POST",
        path="/v1/agents/{agentId}/erasures",
        handler=erase_caller,
        summary="Erase everything about a caller: conversations and what is remembered.",
        permission="admin",
        request=EraseCallerBody,
        response=ReceiptResponse,
        status=201,
        errors=(400, 401, 403, 404, 413),
    ),
    Route(
        method="GET",
        path="/v1/erasures/{receiptId}",
        handler=get_receipt,
        summary="The receipt of an erasure.",
        permission="admin",
        response=ReceiptResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/agents/{agentId}/retention",
        handler=get_retention,
        summary="For how many days each kind of data is kept.",
        permission="read",
        response=RetentionBody,
        errors=(401, 403, 404),
    ),
    Route(
        method="PUT",
        path="/v1/agents/{agentId}/retention",
        handler=put_retention,
        summary="Set for how many days each kind of data is kept; null is for ever.",
        permission="admin",
        request=RetentionBody,
        response=RetentionBody,
        errors=(400, 401, 403, 404, 413),
    ),
    Route(
        method="GET",
        path="/v1/audit",
        handler=list_audit,
        summary="Who saw personal data and who changed what, in order.",
        permission="admin",
        query=(
            Query(name="after", type="integer", default=0, minimum=0, description="Entries after this number."),
            Query(
                name="limit",
                type="integer",
                default=100,
                minimum=1,
                maximum=MAX_ENTRIES,
                description="How many at most.",
            ),
        ),
        response=AuditResponse,
        errors=(400, 401, 403),
    ),
    Route(
        method="GET",
        path="/v1/audit/verify",
        handler=verify_audit,
        summary="Whether the audit log is whole: nothing changed, dropped or put elsewhere.",
        permission="admin",
        response=VerdictResponse,
        errors=(401, 403),
    ),
)
