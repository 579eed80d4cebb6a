"""config/: variants, handoffs, SMS templates, translations and API integrations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from vivavoce.domain.agent import ApiIntegration, ApiOperation, Handoff, SmsTemplate, Variants
from vivavoce.project.source import Mapping

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
AUTH_TYPES = ("none", "basic", "apiKey", "oauth2", "oauth2_client_credentials", "jwt_client_assertion")
KINDS = ("string", "number", "boolean", "enum", "object")
_RESOURCE = re.compile(r"/(?:[^{}\s]|\{[A-Za-z_]\w*\})*")
LONGEST_SMS = 500
LONGEST_SMS_NAME = 100
_INTEGRATION_NAME = re.compile(r"[a-z_][a-z0-9_]*")
ENVIRONMENT_KEYS = {
    "sandbox": "sandbox",
    "pre_release": "pre-release",
    "pre-release": "pre-release",
    "preRelease": "pre-release",
    "live": "live",
}


def named(source: Mapping, key: str) -> Iterator[tuple[str, Mapping]]:
    """The items of a list, each with its name; a second item of the same name is a fault."""
    seen: set[str] = set()
    for item in source.mappings(key):
        name = item.text("name", required=True)
        if name in seen:
            item.error("name", "duplicate", f"There is already an item named {name!r} in {key}.")
            continue
        seen.add(name)
        yield name, item
        item.close()
    source.close()


def variants(source: Mapping) -> Variants:
    names: list[str] = []
    defaults: list[str] = []
    for item in source.mappings("variants"):
        name = item.text("name", required=True)
        if name in names:
            item.error("name", "duplicate", f"There is already a variant named {name!r}.")
        names.append(name)
        if item.flag("is_default"):
            defaults.append(name)
        item.close()
    if names and len(defaults) != 1:
        source.error("variants", "default", f"Exactly one variant must have is_default: true; {len(defaults)} have.")
    attributes: dict[str, dict[str, str]] = {name: {} for name in names}
    for item in source.mappings("attributes"):
        attribute = item.text("name", required=True)
        values = item.mapping("values")
        kind = item.text("kind", "string").lower()
        if kind not in KINDS:
            item.error("kind", "unknown-value", f"kind is {kind!r}; it should be one of {', '.join(KINDS)}.")
        item.mapping("config").texts("values")  # of an enum
        if names and attribute in attributes[names[0]]:
            item.error("name", "duplicate", f"There is already an attribute named {attribute!r}.")
        for name in names:
            if name not in values:
                item.error(
                    "values", "missing", f'Attribute {attribute!r} has no value for variant {name!r}; give one, or "".'
                )
            attributes[name][attribute] = _value(values, name, kind)
        for extra in values.keys:
            if extra not in names:
                values.error(
                    extra,
                    "unknown-reference",
                    f"Attribute {attribute!r} names a variant {extra!r} that does not exist.",
                )
        item.close()
    source.close()
    return Variants(names=tuple(names), default=next(iter(defaults or names), None), attributes=attributes)


def _value(values: Mapping, name: str, kind: str) -> str:
    """As text, whatever its kind: a number as it is written, an object as JSON."""
    if kind == "object" and isinstance(found := values.plain(name), (dict, list)):
        return json.dumps(found, ensure_ascii=False)
    return (values.text(name) if kind in ("string", "enum") else values.scalar(name)).strip()


def handoffs(source: Mapping) -> dict[str, Handoff]:
    found: dict[str, Handoff] = {}
    for name, item in named(source, "handoffs"):
        sip = item.mapping("sip_config")
        method = sip.text("method", "bye", one_of=("invite", "refer", "bye"))
        encryption = sip.text("outbound_encryption")
        if method == "invite" and encryption not in ("TLS/SRTP", "UDP/RTP"):
            sip.error(
                "outbound_encryption", "unknown-value", "An invite needs outbound_encryption TLS/SRTP or UDP/RTP."
            )
        found[name] = Handoff(
            name=name,
            description=item.text("description"),
            is_default=item.flag("is_default"),
            method=method,  # type: ignore[arg-type]  # one_of holds it
            phone_number=sip.text("phone_number"),
            outbound_endpoint=sip.text("outbound_endpoint"),
            outbound_encryption=encryption,
            sip_headers={h.text("key", required=True): h.text("value") for h in item.mappings("sip_headers")},
        )
    if found and sum(h.is_default for h in found.values()) != 1:
        source.error("handoffs", "default", "Exactly one handoff must have is_default: true.")
    return found


def sms_templates(source: Mapping) -> dict[str, SmsTemplate]:
    found = {}
    for name, item in named(source, "sms_templates"):
        numbers = item.mapping("env_phone_numbers")
        senders = {}
        for key in numbers.keys:
            if key in ENVIRONMENT_KEYS:
                senders[ENVIRONMENT_KEYS[key]] = numbers.text(key)
            else:
                numbers.error(key, "unknown-value", f"{key!r} is not an environment: sandbox, pre_release or live.")
        text = item.text("text", required=True)
        if len(text) > LONGEST_SMS:
            item.warn("text", "too-long", f"{name!r} has {len(text)} characters; the format has at most {LONGEST_SMS}.")
        if len(name) > LONGEST_SMS_NAME:
            item.warn("name", "too-long", f"The name of a template has at most {LONGEST_SMS_NAME} characters.")
        found[name] = SmsTemplate(name=name, text=text, senders=senders)
    return found


def translations(source: Mapping, languages: tuple[str, ...]) -> dict[str, dict[str, str]]:
    found = {}
    for name, item in named(source, "translations"):
        texts = item.mapping("translations")
        found[name] = {language: texts.text(language) for language in texts.keys}
        if languages and set(texts.keys) != set(languages):
            item.error(
                "translations",
                "languages",
                f"{name!r} must have exactly the configured languages: {', '.join(languages)}.",
            )
    return found


def _operations(item: Mapping) -> Iterator[tuple[str, Mapping]]:
    """A list of operations with their names, or a mapping from name to operation."""
    if item.is_mapping("operations"):
        by_name = item.mapping("operations")
        for name in by_name.keys:
            yield name, by_name.mapping(name)
        return
    for operation in item.mappings("operations"):
        yield operation.text("name", required=True), operation


def api_integrations(source: Mapping) -> dict[str, ApiIntegration]:
    found = {}
    for name, item in named(source, "api_integrations"):
        if not _INTEGRATION_NAME.fullmatch(name):
            item.error("name", "bad-name", f"{name!r} should be lower-case letters, digits and underscores.")
        environments = {}
        by_environment = item.mapping("environments")
        for key in by_environment.keys:
            settings = by_environment.mapping(key)
            if key not in ENVIRONMENT_KEYS:
                by_environment.error(
                    key, "unknown-value", f"{key!r} is not an environment: sandbox, pre_release or live."
                )
                continue
            url = settings.text("base_url")
            if url and not url.startswith(("http://", "https://")):
                settings.error("base_url", "bad-url", f"{url!r} should begin with http:// or https://.")
            auth = settings.text("auth_type", "none", one_of=AUTH_TYPES)
            if auth == "jwt_client_assertion":
                settings.warn(
                    "auth_type", "not-implemented", "Calls that sign a JWT are not implemented: they will fail."
                )
            environments[ENVIRONMENT_KEYS[key]] = {"base_url": url, "auth_type": auth}
        operations: list[ApiOperation] = []
        for operation_name, operation in _operations(item):
            resource = operation.text("resource", required=True)
            if not _RESOURCE.fullmatch(resource):
                operation.error(
                    "resource", "bad-path", f"{resource!r} should begin with a slash; path variables stand in braces."
                )
            method = operation.text("method", "GET", one_of=METHODS)
            if any((o.name, o.method) == (operation_name, method) for o in operations):
                operation.error("name", "duplicate", f"{name} has two operations {operation_name!r} with {method}.")
            operations.append(ApiOperation(name=operation_name, method=method, resource=resource))
        found[name] = ApiIntegration(
            name=name, description=item.text("description"), environments=environments, operations=tuple(operations)
        )
    return found
