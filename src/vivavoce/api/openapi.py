"""The OpenAPI 3.1 description, made from the route table; and a page to read it by, without any script from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from vivavoce import __version__
from vivavoce.api.route import Query, Route
from vivavoce.wire.errors import ErrorEnvelope

_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_SUMMARY: dict[str, Any] = {
    "type": "object",
    "required": ["conversationId", "accountId", "projectId"],
    "properties": {
        **dict.fromkeys(("conversationId", "accountId", "projectId", "createdAt", "startedAt", "channel", "clientEnv", "direction"), _TEXT),
        **dict.fromkeys(("finishedAt", "fromNumber", "toNumber", "language", "variantId", "handoffDestination", "handoffReason", "deploymentId", "note", "audioUrl"), _NULLABLE_TEXT),
        **{name: {"type": "integer"} for name in ("totalDuration", "polyaiDuration", "duration")},
        **{name: {"type": "boolean"} for name in ("inProgress", "handoff")},
        "tags": {"type": "array", "items": _TEXT},
        "polyScore": {"type": ["number", "null"]},
        "shortSummary": {"type": ["object", "null"]},
    },
}  # fmt: skip
_STRINGS = (
    "id",
    "account_id",
    "project_id",
    "variant_id",
    "variant_name",
    "environment",
    "channel",
    "from_number",
    "to_number",
    "handoff_reason",
    "handoff_destination",
)
_NUMBERS = ("num_turns", "total_duration", "polyai_duration", "num_silences", "num_ood")
_V3: dict[str, Any] = {
    "type": "object",
    "required": ["id", "account_id", "project_id", "environment", "started_at", "channel", "in_progress"],
    "properties": {
        **dict.fromkeys(_STRINGS, _TEXT),
        "started_at": _TIME,
        **{name: {"type": "integer"} for name in _NUMBERS},
        **{name: {"type": "boolean"} for name in ("in_progress", "handoff")},
        "metrics": {
            "type": "object",
            "additionalProperties": {"oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 2}]},
        },
        "state": {"type": "object"},
        "turns": {"type": "array", "items": {"$ref": "#/components/schemas/ConversationTurn"}},
    },
}  # fmt: skip
_V3_LIST = {"type": "array", "items": {"$ref": "#/components/schemas/ConversationV3"}}
RECORD_SCHEMAS: dict[str, Any] = {
    "ConversationTurn": {
        "type": "object",
        "properties": {
            **dict.fromkeys(
                ("user_input", "user_input_dtmf", "agent_response", "translated_user_input", "english_agent_response"),
                _TEXT,
            ),
            **dict.fromkeys(("user_input_datetime", "agent_response_datetime"), _TIME),
            "latency": {"type": "number"},
            "intents": {"type": "array", "items": _TEXT},
            "entities": {"type": "array", "items": {"type": "object"}},
            **{name: {"type": "boolean"} for name in ("is_ood", "is_silence", "barge_in")},
        },
    },
    "ConversationV3": _V3,
    "GetConversationsV3Response": {
        "type": "object",
        "required": ["conversations"],
        "properties": {"conversations": _V3_LIST, "next_offset": {"type": "integer"}, "cursor": _NULLABLE_TEXT},
    },
    "GetConversationsV1Response": {
        "type": "object",
        "required": ["conversations"],
        "properties": {
            "conversations": _V3_LIST,
            "next_offset": {"type": "integer"},
            "descriptions": {"type": "object", "properties": {"conversations": {"type": "object"}}},
        },
    },
    "ConcurrencyResponse": {
        "type": "object",
        "required": ["account_id", "project_id", "intervals"],
        "properties": {
            **dict.fromkeys(("account_id", "project_id"), _TEXT),
            "intervals": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["time", "max_concurrent_conversations"],
                    "properties": {
                        "time": _TIME,
                        "max_concurrent_conversations": {"type": "integer"},
                        **dict.fromkeys(("variant_id", "variant_name", "language", "phone_number"), _TEXT),
                    },
                },
            },
        },
    },
    "ConversationSummaryResponse": _SUMMARY,
    "GetConversationsResponse": {
        "type": "object",
        "required": ["conversations", "count", "limit", "offset"],
        "properties": {
            "conversations": {"type": "array", "items": {"$ref": "#/components/schemas/ConversationSummaryResponse"}},
            "count": {"type": "integer"},
            "limit": {"type": "integer"},
            "offset": {"type": "integer"},
            "cursor": _NULLABLE_TEXT,
        },
    },
    "ConversationDetailResponse": {
        **_SUMMARY,
        "properties": {
            **_SUMMARY["properties"],
            "turns": {"type": "array", "items": {"type": "object"}},
            "metrics": {"type": "object"},
            "functionEvents": {"type": "object"},
        },
    },
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    types = [t for route in routes for t in (route.request, route.response) if isinstance(t, type)]
    schemas, components = msgspec.json.schema_components(
        [*types, ErrorEnvelope], ref_template="#/components/schemas/{name}"
    )
    del schemas
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "vivavoce", "version": __version__},
        "components": {
            "schemas": {**components, **RECORD_SCHEMAS},
            "securitySchemes": {"polyApiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"}},
        },
        "security": [{"polyApiKey": []}],
        "paths": paths,
    }


def _operation(route: Route) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT} for name in re.findall(r"{(\w+)}", route.path)
    ]
    for query in route.query:
        parameters.append(
            {
                "name": query.name,
                "in": "query",
                "required": query.is_required,
                "schema": _parameter(query),
                "description": query.description,
            }
        )
    if route.is_idempotent:
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": _TEXT})
    operation: dict[str, Any] = {"summary": route.summary, "parameters": parameters, "responses": {}}
    if route.authentication == "none":
        operation["security"] = []
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(route.request)}},
        }
    if route.takes_any_body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {}}}}
    success: dict[str, Any] = {"description": route.summary}
    if route.response is not None:
        success["content"] = {route.media_type: {"schema": _reference(route.response)}}
    elif route.media_type != "application/json":
        success["content"] = {route.media_type: {"schema": {"type": "string", "format": "binary"}}}
    operation["responses"][str(route.status)] = success
    for status in (*route.errors, 500):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
        operation["responses"][str(status)] = {"description": "Error", "content": content}
    return operation


def _parameter(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": query.type}
    if query.type == "time":
        schema = {"type": "string", "format": "date-time"}
    if query.choices:
        schema["enum"] = list(query.choices)
    if query.type == "list":
        schema = {"type": "array", "items": {**schema, "type": "string"}}
    for name, value in (("default", query.default), ("minimum", query.minimum), ("maximum", query.maximum)):
        if value is not None:
            schema[name] = value
    return schema


def _reference(thing: Any) -> dict[str, str]:
    name = thing if isinstance(thing, str) else thing.__name__
    return {"$ref": f"#/components/schemas/{name}"}


DOCS_PAGE = b"""<!doctype html><meta charset=utf-8><title>vivavoce API</title><meta name=viewport content="width=device-width">
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
code,pre{font:14px/1.5 ui-monospace,monospace;background:#f4f4f2;border-radius:4px;padding:.1em .3em}pre{padding:.8em;overflow:auto}
h2{font-size:1.05rem;margin:2rem 0 .2rem}b{display:inline-block;min-width:3.5rem;color:#06603f}input{font:inherit;padding:.3em}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1a}code,pre{background:#2a2a28}b{color:#7fd3ae}}</style>
<h1>vivavoce API</h1><p>Every call needs the header <code>X-API-KEY</code>. <label>Key: <input id=key type=password autocomplete=off></label>
<button id=show>Show the operations</button></p><main id=out></main><script>
const el=(t,x)=>{const e=document.createElement(t);e.textContent=x;return e};
document.getElementById('show').onclick=async()=>{const out=document.getElementById('out');out.replaceChildren();
const r=await fetch('/openapi.json',{headers:{'X-API-KEY':document.getElementById('key').value}});const d=await r.json();
if(!r.ok){out.append(el('p',d.error));return}
for(const[p,ms]of Object.entries(d.paths))for(const[m,o]of Object.entries(ms)){const h=el('h2','');h.append(el('b',m.toUpperCase()),el('code',p));
out.append(h,el('p',o.summary));const b=o.requestBody;if(b){const n=b.content['application/json'].schema.$ref.split('/').pop();
out.append(el('pre',JSON.stringify(d.components.schemas[n].properties,null,1)))}}};</script>
"""
