"""The OpenAPI 3.1 description, made from the route table; and a page to read it by, without any script from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin

import msgspec

from vivavoce import __version__
from vivavoce.api.route import Route
from vivavoce.wire.errors import ErrorEnvelope
from vivavoce.wire.query import MAX_INTEGER, Query

_TEXT = {"type": "string"}
_FILE = {"type": "string", "format": "binary"}
_BINARY = {"schema": _FILE}
_PATH = {  # what is not any text
    "clientEnv": {"type": "string", "enum": ["sandbox", "draft", "pre-release", "live"]},
    "turnIndex": {"type": "integer", "minimum": 0, "maximum": 999_999},
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    types = [t for route in routes for t in (route.request, route.response) if t is not None]
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
            "schemas": components,
            "securitySchemes": {"polyApiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"}},
        },
        "security": [{"polyApiKey": []}],
        "paths": paths,
    }


def _operation(route: Route) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _PATH.get(name, _TEXT)}
        for name in re.findall(r"{(\w+)}", route.path)
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
    for header in (*route.headers, *(("Idempotency-Key",) if route.is_idempotent else ())):
        parameters.append({"name": header, "in": "header", "required": False, "schema": _TEXT})
    operation: dict[str, Any] = {"summary": route.summary, "parameters": parameters, "responses": {}}
    if route.authentication == "none":
        operation["security"] = []
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(route.request)}},
        }
    if route.takes_any_body:
        operation["requestBody"] = {"required": True, "content": {route.body_media_type: {"schema": _any_body(route)}}}
    success: dict[str, Any] = {"description": route.summary}
    if route.response is not None:
        success["content"] = {route.media_type: {"schema": _reference(route.response)}}
    elif route.media_type != "application/json":
        success["content"] = {route.media_type: _BINARY}
    for other in route.other_media_types:
        success["content"][other] = _BINARY
    operation["responses"][str(route.status)] = success
    for status in (*route.errors, 500):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
        operation["responses"][str(status)] = {"description": "Error", "content": content}
    return operation


def _any_body(route: Route) -> dict[str, Any]:
    if route.form:
        parts = {name: _FILE if name == "file" else _TEXT for name in route.form}
        return {"type": "object", "required": list(route.form), "properties": parts}
    return {} if route.body_media_type == "application/json" else _FILE


def _parameter(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": query.type}
    if query.type == "time":
        schema = {"type": "string", "format": "date-time"}
    if query.type == "integer" and query.maximum is None:
        schema["maximum"] = MAX_INTEGER
    if query.choices:
        schema["enum"] = list(query.choices)
    if query.type == "list":
        schema = {"type": "array", "items": {**schema, "type": "string", "minLength": 1}}
    elif not query.may_be_empty:
        schema["minLength"] = 1
    for name, value in (("default", query.default), ("minimum", query.minimum), ("maximum", query.maximum)):
        if value is not None:
            schema[name] = value
    return schema


def _reference(shape: type) -> dict[str, Any]:
    if get_origin(shape) is list:
        return {"type": "array", "items": _reference(get_args(shape)[0])}
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


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
out.append(h,el('p',o.summary));for(const[t,b]of Object.entries(o.requestBody?.content??{})){const n=(b.schema.$ref??'').split('/').pop();
out.append(el('pre',n?JSON.stringify(d.components.schemas[n].properties,null,1):t))}}};</script>
"""
