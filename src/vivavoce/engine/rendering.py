"""Author text with its references resolved by name. The caller's words are values, never templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import Rendered
from vivavoce.domain.marks import MARK, unmark

_ALIASES = {"sms": "twilio_sms", "va": "attr"}
_VALUES = ("vrbl", "tn", "attr", "entity")
_TOOLS = ("fn", "ft", "twilio_sms", "ho")
_REFERENCE = re.compile(
    r"\{\{\s*(?P<kind>fn|ft|entity|attr|vrbl|tn|twilio_sms|sms|va|ho)\s*:\s*(?P<name>[^{}]+?)\s*\}\}"
    r"|(?<!\{)\{(?P<bare_kind>fn|ft)\s*:\s*(?P<bare_name>[^{}]+?)\s*\}(?!\})"
    r"|\$\{(?P<braced>[A-Za-z_][\w-]*)\}"
    r"|\$(?P<variable>[A-Za-z_]\w*)"
)
_TAG = re.compile(r"<(language|channel):([\w-]+)>|</(language|channel)>")
MOST_PASSES = 3


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
def template(text: str, *, bare: bool = False, clashes: frozenset[str] = frozenset()) -> Template:
    """`bare` also takes {fn:x}, which author f-strings make of {{fn:x}}; `clashes` are global names shown as name_global."""
    literals: list[str] = [""]
    slots: list[Slot] = []
    tools: list[tuple[str, str]] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        literals[-1] += text[end : match.start()]
        end = match.end()
        kind, name = match["kind"], match["name"]
        if match["bare_kind"]:
            if not bare:
                literals[-1] += match.group()
                continue
            kind, name = match["bare_kind"], match["bare_name"]
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
        self, agent: Agent, *, view: Mapping[str, Raw], variant: str | None, language: str, channel: str
    ) -> None:
        self._agent = agent
        self._view = view
        self._attributes = agent.variants.attributes.get(variant or "", {})
        self._language = language
        self._family = channel_family(channel)
        self.missing: set[str] = set()  # references that named nothing

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
        return Rendered.of(found.literals, tuple(unmark(self._value(slot, expose, 1)) for slot in found.slots))

    def function_result(self, text: str, *, expose: Callable[[str, str], None] | None = None) -> str:
        """A string that author code returned: rendered, except where it repeats the caller."""
        if "{" not in text and "$" not in text and MARK not in text:
            return text
        # The result holds the caller's data: its template must not stay in a shared cache.
        found = template.__wrapped__(text, bare=True)
        for kind, name in found.tools if expose is not None else ():
            expose(kind, name)  # type: ignore[misc]  # not None here
        return unmark(Rendered.of(found.literals, tuple(self._value(slot, expose, 1) for slot in found.slots)).text)

    def _value(self, slot: Slot, expose: Callable[[str, str], None] | None, depth: int) -> str:
        value = self._lookup(slot)
        if depth < MOST_PASSES and ("{{" in value or "$" in value):
            nested = template.__wrapped__(value)
            for kind, name in nested.tools if expose is not None else ():
                expose(kind, name)  # type: ignore[misc]  # not None here
            return Rendered.of(nested.literals, tuple(self._value(s, expose, depth + 1) for s in nested.slots)).text
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
            if name not in self._attributes:
                self.missing.add(slot.source)
            return self._attributes.get(name, "")
        if slot.kind == "tn":
            texts = self._agent.translations.get(name, {})
            return texts.get(self._language) or texts.get(self._agent.languages.default) or name
        if slot.kind == "entity":
            return f'"{name}"'
        if name in self._view:
            return self._state(name)
        for attribute in (name.removeprefix("variant_"), name):
            if attribute in self._attributes:
                return self._attributes[attribute]
        return "" if name in self._agent.variables else slot.source

    def _state(self, name: str) -> str:
        raw = self._view.get(name)
        if raw is None:
            return ""
        value = msgspec.json.decode(raw)
        return "" if value is None else str(value)
