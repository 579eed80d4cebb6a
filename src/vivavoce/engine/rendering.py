"""Author text with its references resolved by name. The caller's words are values, never templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import Collected, Rendered
from vivavoce.engine.heard import Heard, target

_ALIASES = {"sms": "twilio_sms", "va": "attr"}
_VALUES = ("vrbl", "tn", "attr", "entity")
_TOOLS = ("fn", "ft", "twilio_sms", "ho")
_REFERENCE = re.compile(
    r"\{\{\s*(?P<kind>fn|ft|entity|attr|vrbl|tn|twilio_sms|sms|va|ho)\s*:(?P<name>[^{}]+)\}\}"
    r"|(?<!\{)\{(?P<bare_kind>fn|ft)\s*:(?P<bare_name>[^{}]+)\}(?!\})"
    r"|\$\{(?P<braced>[A-Za-z_][\w-]*)\}"
    r"|\$(?P<variable>[A-Za-z_]\w*)"
)
_TAG = re.compile(r"<(language|channel):([\w-]+)>|</(language|channel)>")
MOST_PASSES = 3
MAX_CHARACTERS = 100_000  # of one value, and of one rendered result


class Slot(Struct, frozen=True):
    kind: str  # one of _VALUES, "variable" for $name, "braced" for ${name}
    name: str
    source: str  # as it stands in the text, for names that resolve to nothing


class Template(Struct, frozen=True, kw_only=True):
    literals: tuple[str, ...]
    slots: tuple[Slot, ...]
    tools: tuple[tuple[str, str], ...]  # (kind, name) of every function, handoff or SMS template it mentions
    static: Rendered  # what it renders to when it has no slots


@lru_cache(maxsize=8192)
def template(text: str, *, clashes: frozenset[str] = frozenset()) -> Template:
    """`clashes` are global names that are shown as name_global."""
    literals: list[str] = [""]
    slots: list[Slot] = []
    tools: list[tuple[str, str]] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        literals[-1] += text[end : match.start()]
        end = match.end()
        kind, name = match["kind"], (match["name"] or "").strip()
        if match["bare_kind"]:
            literals[-1] += match.group()
            continue
        if kind:
            kind = _ALIASES.get(kind, kind)
            if kind in _TOOLS:
                tools.append((kind, name))
                literals[-1] += f"{name}_global" if kind == "fn" and name in clashes else name
                continue
            slots.append(Slot(kind, name, match.group()))
        elif match["braced"]:
            slots.append(Slot("braced", match["braced"], match.group()))
        else:
            slots.append(Slot("variable", match["variable"], match.group()))
        literals.append("")
    literals[-1] += text[end:]
    texts = tuple(literals)
    return Template(
        literals=texts,
        slots=tuple(slots),
        tools=tuple(dict.fromkeys(tools)),
        static=Rendered(text=texts[0], literals=texts),
    )


@lru_cache(maxsize=4096)
def select(text: str, language: str, channel: str) -> str:
    """Keeps the blocks `<language:xx>` and `<channel:c>` that hold here; a closing tag closes the innermost open one."""
    if "<language:" not in text and "<channel:" not in text:
        return text
    kept: list[str] = []
    open_blocks: list[bool] = []
    end = 0
    for tag in _TAG.finditer(text):
        if all(open_blocks):
            kept.append(text[end : tag.start()])
        end = tag.end()
        if tag[1]:
            wanted = tag[2].lower()
            here = language.lower() if tag[1] == "language" else channel
            open_blocks.append(here == wanted or (tag[1] == "language" and here.split("-")[0] == wanted))
        elif open_blocks:
            open_blocks.pop()
    if all(open_blocks):
        kept.append(text[end:])
    return "".join(kept)


def channel_family(channel: str) -> str:
    """voice, webchat or sms: what `<channel:…>` and the channel's own settings go by."""
    if channel.startswith("webchat"):
        return "webchat"
    if channel.startswith(("sms", "rcs", "whatsapp")):
        return "sms"
    return "voice"


class Renderer:
    """Renders for one conversation as it stands: its state, variant, language and channel."""

    def __init__(
        self,
        agent: Agent,
        *,
        view: Mapping[str, Raw],
        variant: str | None,
        language: str,
        channel: str,
        entities: Mapping[str, Collected] = MappingProxyType({}),
        heard: Heard | None = None,
    ) -> None:
        self._agent = agent
        self._view = view
        self._attributes = agent.variants.attributes.get(variant or "", {})
        self._language = language
        self._family = channel_family(channel)
        self._entities = entities
        self._heard = heard
        self._values: dict[str, str] = {}

    def render(
        self, text: str, *, clashes: frozenset[str] = frozenset(), expose: Callable[[str, str], None] | None = None
    ) -> Rendered:
        """`expose` is told of each (kind, name) of tool that the text, or a value in it, mentions."""
        found = template(select(text, self._language, self._family), clashes=clashes)
        if expose is not None:
            for kind, name in found.tools:
                expose(kind, name)
        if not found.slots:
            return found.static
        return Rendered.of(found.literals, tuple(self._value(slot, expose, 1) for slot in found.slots))

    def function_result(self, text: str, *, expose: Callable[[str, str], None] | None = None) -> str:
        """A string that author code returned: rendered, except for references that the caller or the model has said."""
        return self._untrusted(text, expose, 0) if "{" in text or "$" in text else text

    def _untrusted(self, text: str, expose: Callable[[str, str], None] | None, depth: int) -> str:
        parts: list[str] = []
        size = end = 0
        for match in _REFERENCE.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            parts.append(self._reference(match, expose, depth))
            size += len(parts[-1]) + len(parts[-2])
            if size > MAX_CHARACTERS:
                return "".join(parts)[:MAX_CHARACTERS]
        parts.append(text[end:])
        return "".join(parts)

    def _reference(self, match: re.Match[str], expose: Callable[[str, str], None] | None, depth: int) -> str:
        kind = match["kind"] or match["bare_kind"] or ("braced" if match["braced"] else "variable")
        kind = _ALIASES.get(kind, kind)
        name = (match["name"] or match["bare_name"] or match["braced"] or match["variable"]).strip()
        if self._heard is not None and target(kind, name) in self._heard:
            return match.group()
        if kind in _TOOLS:
            if expose is not None:
                expose(kind, name)
            return str(name)
        return self._value(Slot(kind, name, match.group()), expose, depth + 1)

    def _value(self, slot: Slot, expose: Callable[[str, str], None] | None, depth: int) -> str:
        value = self._lookup(slot)
        if depth < MOST_PASSES and ("{" in value or "$" in value) and value != slot.source:
            return self._untrusted(value, expose, depth)
        return value

    def _lookup(self, slot: Slot) -> str:
        name = slot.name
        if slot.kind == "variable":
            if name in self._view:
                return self._state(name)
            return "" if name in self._agent.variables else slot.source
        if slot.kind == "vrbl":
            return self._state(name)
        if slot.kind == "attr":
            return self._attributes.get(name, "")
        if slot.kind == "tn":
            texts = self._agent.translations.get(name, {})
            return texts.get(self._language) or texts.get(self._agent.languages.default) or name
        if slot.kind == "entity":
            collected = self._entities.get(name)
            return collected.value if collected is not None else f'"{name}"'
        if name in self._view:
            return self._state(name)
        for attribute in (name.removeprefix("variant_"), name):
            if attribute in self._attributes:
                return self._attributes[attribute]
        return "" if name in self._agent.variables else slot.source

    def _state(self, name: str) -> str:
        found = self._values.get(name)
        if found is None:
            raw = self._view.get(name)
            value = msgspec.json.decode(raw) if raw is not None else None
            found = self._values[name] = "" if value is None else str(value)[:MAX_CHARACTERS]
        return found
