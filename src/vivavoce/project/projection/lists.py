"""Files that hold lists of named things: handoffs, templates, entities, integrations, corrections and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from vivavoce.project import layout
from vivavoce.project.configuration import ENVIRONMENT_KEYS
from vivavoce.project.projection.parts import (
    Folder,
    Json,
    Part,
    as_text,
    camel,
    collection,
    entities,
    mapping,
    snake,
    suffixes,
    texts,
)

STAGES = {"sandbox": "sandbox", "pre-release": "preRelease", "live": "live"}
TYPES: dict[str, Json] = {
    # of an entity: what stands in its settings, and what it is where nothing is said
    "numeric": {"has_decimal": False, "has_range": False, "min": 0, "max": 0},
    "alphanumeric": {"enabled": True, "validation_type": "", "regular_expression": ""},
    "enum": {"options": []},
    "date": {"relative_date": False},
    "phone_number": {"enabled": True, "country_codes": []},
    "time": {"enabled": True, "start_time": "", "end_time": ""},
    "address": {},
    "free_text": {},
    "name_config": {},
}


class Listed(Struct, frozen=True, kw_only=True):
    """One list of a file. `entity` reads an item, `item` writes one, both with what else of the agent they name."""

    path: str
    key: str
    kind: str  # in the places of its items
    prefix: str  # of their ids
    where: tuple[str, ...]  # in the projection
    entity: Callable[[Json, Folder, str], Json]
    item: Callable[[Json, Json], Json]
    name: str | None = "name"  # what the items are told apart by; None is their order
    also: str = ""  # an older place of the file


def read(folder: Folder) -> Json:
    found: Json = {}
    for each in LISTS:
        path = each.path
        if each.also in folder.files and path not in folder.files:
            path = folder.is_called(each.also, path)
        items = folder.items(path, each.key)
        names = [as_text(item.get(each.name)) if each.name else str(n) for n, item in enumerate(items)]
        held = {}
        for suffix, item in zip(suffixes(each.kind, names), items, strict=True):
            id = folder.id(each.prefix, path + suffix)
            held[id] = {"id": id, **each.entity(item, folder, path + suffix)}
        inner = found
        for key in each.where[:-1]:
            inner = inner.setdefault(key, {})
        inner[each.where[-1]] = collection(held)
    return found


def write(projection: Json) -> Iterator[Part]:
    for each in LISTS:
        held = sorted(entities(projection, *each.where).items(), key=lambda item: item[1].get("position", 0))
        kept = {id: entity for id, entity in held if entity.get("active", True)}
        if not kept:
            continue
        items = [each.item(entity, projection) for entity in kept.values()]
        names = [as_text(item.get(each.name)) if each.name else str(n) for n, item in enumerate(items)]
        ids = {}
        for suffix, (id, entity) in zip(suffixes(each.kind, names), kept.items(), strict=True):
            ids[suffix] = id
            for operation in mapping(entity.get("operations")).values():
                ids[f"{suffix}#operation/{operation['name']}"] = operation["id"]
        yield Part(path=each.path, content={each.key: items}, ids=ids)


def keys() -> dict[str, str]:
    """path -> the list in it, for one that has become empty."""
    return {each.path: each.key for each in LISTS}


def _without_empty(item: Json, *kept: str) -> Json:
    return {key: value for key, value in item.items() if key in kept or (value != "" and value is not None)}


# Handoffs.


def _handoff(item: Json, folder: Folder, place: str) -> Json:
    sip = mapping(item.get("sip_config"))
    method = as_text(sip.get("method")) or "bye"
    value: Json = {"phoneNumber": as_text(sip.get("phone_number"))} if method != "bye" else {}
    if method == "invite":
        value["outboundEndpoint"] = as_text(sip.get("outbound_endpoint"))
        value["outboundEncryption"] = as_text(sip.get("outbound_encryption"))
    headers = [each for each in item.get("sip_headers") or () if isinstance(each, dict)]
    return {
        "name": as_text(item.get("name")),
        "description": as_text(item.get("description")),
        "isDefault": item.get("is_default") is True,
        "active": True,
        "sipConfig": {"config": {"$case": method, "value": value}},
        "sipHeaders": {
            "headers": [{"key": as_text(each.get("key")), "value": as_text(each.get("value"))} for each in headers]
        },
    }


def _written_handoff(entity: Json, projection: Json) -> Json:
    config = mapping(mapping(entity.get("sipConfig")).get("config"))
    method = config.get("$case") or "bye"
    value = mapping(config.get("value"))
    sip = {"method": method}
    if method != "bye":
        sip["phone_number"] = value.get("phoneNumber", "")
    if method == "invite":
        sip["outbound_endpoint"] = value.get("outboundEndpoint", "")
        sip["outbound_encryption"] = value.get("outboundEncryption", "")
    found = {
        "name": entity["name"],
        "description": entity.get("description", ""),
        "is_default": bool(entity.get("isDefault")),
        "sip_config": sip,
    }
    said = mapping(entity.get("sipHeaders")).get("headers") or ()
    headers = [{"key": each["key"], "value": each["value"]} for each in said]
    return {**found, "sip_headers": headers} if headers else found


# SMS templates.


def _sms(item: Json, folder: Folder, place: str) -> Json:
    numbers = {ENVIRONMENT_KEYS.get(key, key): value for key, value in mapping(item.get("env_phone_numbers")).items()}
    return {
        "name": as_text(item.get("name")),
        "text": as_text(item.get("text")),
        "envPhoneNumbers": {key: as_text(numbers.get(stage)) for stage, key in STAGES.items()},
        "active": True,
    }


def _written_sms(entity: Json, projection: Json) -> Json:
    numbers = mapping(entity.get("envPhoneNumbers"))
    return {
        "name": entity["name"],
        "text": entity.get("text", ""),
        "env_phone_numbers": {stage.replace("-", "_"): numbers.get(key, "") for stage, key in STAGES.items()},
    }


# Entities.


def _entity(item: Json, folder: Folder, place: str) -> Json:
    kind = as_text(item.get("entity_type"))
    return {
        "name": as_text(item.get("name")),
        "description": as_text(item.get("description")),
        "type": camel(kind),
        "config": {
            "$case": camel(kind),
            "value": {
                camel(key): value for key, value in {**TYPES.get(kind, {}), **mapping(item.get("config"))}.items()
            },
        },
    }


def _written_entity(entity: Json, projection: Json) -> Json:
    value = mapping(mapping(entity.get("config")).get("value"))
    kind = snake(entity["type"])
    order = [key for key in TYPES.get(kind, ()) if camel(key) in value]
    order += [snake(key) for key in value if snake(key) not in order]
    return {
        "name": entity["name"],
        "description": entity.get("description", ""),
        "entity_type": kind,
        "config": {key: value[camel(key)] for key in order},
    }


# API integrations.


def _integration(item: Json, folder: Folder, place: str) -> Json:
    stages = {
        ENVIRONMENT_KEYS.get(key, key): mapping(value) for key, value in mapping(item.get("environments")).items()
    }
    operations = {}
    for operation in _operations(item.get("operations")):
        id = folder.id("OPERATION", f"{place}#operation/{as_text(operation.get('name'))}")
        operations[id] = {
            "id": id,
            "name": as_text(operation.get("name")),
            "method": as_text(operation.get("method")).upper(),
            "resource": as_text(operation.get("resource")),
        }
    return {
        "name": as_text(item.get("name")),
        "description": as_text(item.get("description")),
        "environments": {
            key: {
                "baseUrl": as_text(stages.get(stage, {}).get("base_url")),
                "authType": as_text(stages.get(stage, {}).get("auth_type")) or "none",
            }
            for stage, key in STAGES.items()
        },
        "operations": operations,
    }


def _operations(value: Any) -> list[Json]:
    if isinstance(value, dict):
        return [{"name": name, **mapping(operation)} for name, operation in value.items()]
    return [each for each in value or () if isinstance(each, dict)]


def _written_integration(entity: Json, projection: Json) -> Json:
    stages = mapping(entity.get("environments"))
    operations = [
        {"name": each["name"], "method": each["method"], "resource": each["resource"]}
        for each in mapping(entity.get("operations")).values()
    ]
    return {
        "name": entity["name"],
        "description": entity.get("description", ""),
        "environments": {
            stage: {
                "base_url": mapping(stages.get(key)).get("baseUrl", ""),
                "auth_type": mapping(stages.get(key)).get("authType") or "none",
            }
            for stage, key in STAGES.items()
        },
        "operations": sorted(operations, key=lambda each: str(each["name"])),
    }


# Translations.


def _translation(item: Json, folder: Folder, place: str) -> Json:
    said = mapping(item.get("translations"))
    return {
        "translationKey": as_text(item.get("name")),
        "translations": [{"languageCode": code, "text": as_text(text)} for code, text in said.items()],
    }


def _written_translation(entity: Json, projection: Json) -> Json:
    return {
        "name": entity["translationKey"],
        "translations": {each["languageCode"]: each.get("text", "") for each in entity["translations"]},
    }


# Stop keywords.


def _stop_keyword(item: Json, folder: Folder, place: str) -> Json:
    function = as_text(item.get("function"))
    path = f"functions/{function}.py"
    id = folder.id("FUNCTIONS", path) if path in folder.files else function
    return {
        "title": as_text(item.get("name")),
        "description": as_text(item.get("description")),
        "regularExpressions": texts(item.get("regular_expressions")),
        "sayPhrase": item.get("say_phrase") is True,
        "languageCode": as_text(item.get("language_code")),
        "references": {"globalFunctions": {id: True} if function else {}},
    }


def _written_stop_keyword(entity: Json, projection: Json) -> Json:
    function = next(iter(mapping(mapping(entity.get("references")).get("globalFunctions"))), None)
    known = entities(projection, "functions", "functions")
    return _without_empty(
        {
            "name": entity["title"],
            "description": entity.get("description", ""),
            "regular_expressions": entity["regularExpressions"],
            "say_phrase": bool(entity.get("sayPhrase")),
            "language_code": entity.get("languageCode", ""),
            "function": known[function]["name"] if function in known else function,
        }
    )


# Speech.


def _pronunciation(item: Json, folder: Folder, place: str) -> Json:
    return {
        "name": as_text(item.get("name")),
        "regex": as_text(item.get("regex")),
        "replacement": as_text(item.get("replacement")),
        "caseSensitive": item.get("case_sensitive") is True,
        "languageCode": as_text(item.get("language_code")),
        "description": as_text(item.get("description")),
        "position": int(place.rpartition("/")[2]),
    }


def _written_pronunciation(entity: Json, projection: Json) -> Json:
    return _without_empty(
        {
            "regex": entity["regex"],
            "replacement": entity.get("replacement", ""),
            "case_sensitive": bool(entity.get("caseSensitive")),
            "language_code": entity.get("languageCode", ""),
            "description": entity.get("description", ""),
        },
        "replacement",
    )


def _keyphrase(item: Json, folder: Folder, place: str) -> Json:
    return {"keyphrase": as_text(item.get("keyphrase")), "level": (as_text(item.get("level")) or "default").lower()}


def _written_keyphrase(entity: Json, projection: Json) -> Json:
    return {"keyphrase": entity["keyphrase"], "level": entity.get("level") or "default"}


def _correction(item: Json, folder: Folder, place: str) -> Json:
    rules = [each for each in item.get("regular_expressions") or () if isinstance(each, dict)]
    return {
        "name": as_text(item.get("name")),
        "description": as_text(item.get("description")),
        "regularExpressions": [
            {
                "id": folder.id("REGEX", f"{place}#rule/{n}"),
                "regularExpression": as_text(each.get("regular_expression")),
                "replacement": as_text(each.get("replacement")),
                "replacementType": as_text(each.get("replacement_type")) or "full",
            }
            for n, each in enumerate(rules)
        ],
    }


def _written_correction(entity: Json, projection: Json) -> Json:
    return _without_empty(
        {
            "name": entity["name"],
            "description": entity.get("description", ""),
            "regular_expressions": [
                {
                    "regular_expression": each["regularExpression"],
                    "replacement": each["replacement"],
                    "replacement_type": each["replacementType"],
                }
                for each in entity["regularExpressions"]
            ],
        }
    )


# MCP servers: carried along.

_MCP_AUTH = {"header": "header", "query_param": "queryParam", "secret_name": "secretName"}
_MCP_OAUTH = {
    "client_id": "clientId", "client_secret_name": "clientSecretName", "token_url": "tokenUrl", "audience": "audience", "scope": "scope",
}  # fmt: skip


def _mcp(item: Json, folder: Folder, place: str) -> Json:
    auth = mapping(item.get("auth"))
    oauth = mapping(auth.get("oauth"))
    found: Json = {"providerId": as_text(item.get("provider_id")), "url": as_text(item.get("url"))}
    if auth:
        found["auth"] = {key: as_text(auth[name]) for name, key in _MCP_AUTH.items() if name in auth}
    if oauth:
        found["auth"]["oauth"] = {key: as_text(oauth[name]) for name, key in _MCP_OAUTH.items() if name in oauth}
    if item.get("timeout") is not None:
        found["timeout"] = item["timeout"]
    if isinstance(item.get("enabled_functions"), list):
        found["enabledFunctions"] = texts(item["enabled_functions"])
    return found


def _written_mcp(entity: Json, projection: Json) -> Json:
    auth = mapping(entity.get("auth"))
    oauth = {name: auth["oauth"][key] for name, key in _MCP_OAUTH.items() if mapping(auth.get("oauth")).get(key)}
    written: Json = {name: auth[key] for name, key in _MCP_AUTH.items() if auth.get(key)}
    if oauth:
        written["oauth"] = oauth
    found: Json = {"provider_id": entity["providerId"], "url": entity.get("url", "")}
    if written:
        found["auth"] = written
    if entity.get("timeout") is not None:
        found["timeout"] = entity["timeout"]
    if entity.get("enabledFunctions") is not None:
        found["enabled_functions"] = entity["enabledFunctions"]
    return found


LISTS = (
    Listed(
        path=layout.ENTITIES, key="entities", kind="entity", prefix="ENTITIES", where=("entities", "entities"),
        entity=_entity, item=_written_entity,
    ),
    Listed(
        path=layout.HANDOFFS, key="handoffs", kind="handoff", prefix="HANDOFFS", where=("handoff", "handoffs"),
        entity=_handoff, item=_written_handoff,
    ),
    Listed(
        path=layout.SMS, key="sms_templates", kind="sms", prefix="SMS_TEMPLATES", where=("sms", "templates"),
        entity=_sms, item=_written_sms,
    ),
    Listed(
        path=layout.API_INTEGRATIONS, key="api_integrations", kind="integration", prefix="API-INTEGRATION",
        where=("apiIntegrations", "apiIntegrations"), entity=_integration, item=_written_integration,
    ),
    Listed(
        path=layout.TRANSLATIONS, key="translations", kind="translation", prefix="TRANSLATIONS",
        where=("translations", "translations"), entity=_translation, item=_written_translation,
    ),
    Listed(
        path=layout.STOP_KEYWORDS, key="phrase_filtering", kind="stop_keyword", prefix="PHRASE_FILTERING",
        where=("stopKeywords", "filters"), entity=_stop_keyword, item=_written_stop_keyword,
    ),
    Listed(
        path=layout.PRONUNCIATIONS, key="pronunciations", kind="pronunciation", prefix="PRONUNCIATIONS",
        where=("pronunciations", "pronunciations"), entity=_pronunciation, item=_written_pronunciation, name=None,
    ),
    Listed(
        path=layout.KEYPHRASES[0], key="keyphrases", kind="keyphrase", prefix="KEYPHRASE_BOOSTING",
        where=("keyphraseBoosting", "keyphraseBoosting"), entity=_keyphrase, item=_written_keyphrase, name="keyphrase",
        also=layout.KEYPHRASES[1],
    ),
    Listed(
        path=layout.CORRECTIONS, key="corrections", kind="correction", prefix="TRANSCRIPT_CORRECTIONS",
        where=("transcriptCorrections", "transcriptCorrections"), entity=_correction, item=_written_correction,
    ),
    Listed(
        path=layout.MCP, key="mcp_servers", kind="mcp_server", prefix="MCP_SERVERS", where=("mcpConfig", "servers"),
        entity=_mcp, item=_written_mcp, name="provider_id",
    ),
)  # fmt: skip
