"""Topics, documents, entities, handoffs and whatever else is a list of things by their ids."""

from __future__ import annotations

from vivavoce.project import layout
from vivavoce.project.projection.commands.held import (
    Change,
    Payload,
    Refusal,
    add,
    at,
    case_of,
    collection_at,
    creates,
    crud,
    deletes,
    makes_default,
    merge,
    remove,
    updates,
)
from vivavoce.project.projection.parts import Json, mapping

_CHILDREN = ("childOverwrites", "knowledgeBase", "topics")


def _topic(payload: Payload) -> Json:
    found = dict(payload)
    if "exampleQueries" in payload:
        found["exampleQueries"] = [{"query": text} for text in payload["exampleQueries"]["queries"]]
    return found


def _handoff(payload: Payload) -> Json:
    found = dict(payload)
    if "sipConfig" in payload:
        found["sipConfig"] = {"config": case_of(payload["sipConfig"], "invite", "refer", "bye")}
    return found


def _entity(payload: Payload) -> Json:
    kinds = ("numeric", "alphanumeric", "enum", "date", "phoneNumber", "time", "address", "freeText", "nameConfig")
    return {**{key: payload[key] for key in ("id", "name", "type", "description")}, "config": case_of(payload, *kinds)}


def _correction_changes(projection: Json, payload: Payload) -> None:
    held = collection_at(projection, "transcriptCorrections", "transcriptCorrections")
    for each in mapping(payload.get("data")).get("corrections") or ():
        merge(at(held, each["id"], "correction"), each)


def _sms_update(projection: Json, payload: Payload) -> None:
    found = at(collection_at(projection, "sms", "templates"), payload["id"], "template")
    numbers = {**mapping(found.get("envPhoneNumbers")), **mapping(payload.get("envPhoneNumbers"))}
    merge(found, {**payload, "envPhoneNumbers": numbers})


# Documents go by their file's name.


def _document(projection: Json, payload: Payload, *, is_new: bool) -> None:
    held = collection_at(projection, "documents", "documents")
    if not layout.DOCUMENT.fullmatch(f"context/{payload['path']}"):
        raise Refusal(f"a document is called like NOTES.md, not {payload['path'][:64]!r}")
    id = payload["path"].upper()
    if is_new:
        add(held, id, dict(payload), "document")
    else:
        merge(at(held, id, "document"), payload)


def _document_create(projection: Json, payload: Payload) -> None:
    _document(projection, payload, is_new=True)


def _document_update(projection: Json, payload: Payload) -> None:
    _document(projection, payload, is_new=False)


def _document_delete(projection: Json, payload: Payload) -> None:
    remove(collection_at(projection, "documents", "documents"), payload["path"].upper(), "document")


def _child_create(projection: Json, payload: Payload) -> None:
    known = collection_at(projection, "variantManagement", "variants")["entities"]
    if payload.get("variantId") not in known:
        raise Refusal(f"there is no variant {str(payload.get('variantId'))[:64]!r} for it")
    add(collection_at(projection, *_CHILDREN), payload["id"], _topic(payload), "child topic")


CHANGES: dict[str, Change] = {
    **crud("topic", ("create_topic", "update_topic", "delete_topic"), "knowledgeBase", "topics", shaped=_topic),
    "set_topic_tags": updates("topic", "knowledgeBase", "topics"),
    "create_child_topic": _child_create,
    "update_child_topic": updates("child topic", *_CHILDREN, shaped=_topic),
    "delete_child_topic": deletes("child topic", *_CHILDREN),
    "document_create": _document_create,
    "document_update": _document_update,
    "document_delete": _document_delete,
    **crud("variable", ("variable_create", "variable_update", "variable_delete"), "variables", "variables"),
    **crud("entity", ("entity_create", "entity_update", "entity_delete"), "entities", "entities", shaped=_entity),
    **crud("handoff", ("handoff_create", "handoff_update", "handoff_delete"), "handoff", "handoffs", shaped=_handoff),
    "handoff_set_default": makes_default("handoff", "handoff", "handoffs"),
    "sms_create_template": creates("template", "sms", "templates"),
    "sms_update_template": _sms_update,
    "sms_delete_template": deletes("template", "sms", "templates"),
    **crud(
        "stop keyword", ("stop_keywords_create", "stop_keywords_update", "stop_keywords_delete"), "stopKeywords", "filters"
    ),
    **crud(
        "pronunciation",
        ("pronunciations_create_pronunciation", "pronunciations_update_pronunciation", "pronunciations_delete_pronunciation"),
        "pronunciations", "pronunciations",
    ),
    **crud(
        "keyphrase", ("create_keyphrase_boosting", "update_keyphrase_boosting", "delete_keyphrase_boosting"),
        "keyphraseBoosting", "keyphraseBoosting",
    ),
    "create_transcript_corrections": creates("correction", "transcriptCorrections", "transcriptCorrections"),
    "update_transcript_corrections": _correction_changes,
    "delete_transcript_corrections": deletes(
        "correction", "transcriptCorrections", "transcriptCorrections", id="transcriptCorrectionsId"
    ),
    **crud("translation", ("create_translation", "update_translation", "delete_translation"), "translations", "translations"),
}  # fmt: skip
