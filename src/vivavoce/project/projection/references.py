"""References within texts, {{fn:...}} and its kin: by name in the files of a folder, by id in a projection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from vivavoce.project.projection.parts import Json, entities, mapping

_REFERENCE = re.compile(r"\{\{(\w+):([^{}]+)\}\}")
_NAMED = {
    # prefix -> (where in the projection, what it is called by)
    "fn": (("functions", "functions"), "name"),
    "ho": (("handoff", "handoffs"), "name"),
    "twilio_sms": (("sms", "templates"), "name"),
    "attr": (("variantManagement", "attributes"), "name"),
    "vrbl": (("variables", "variables"), "name"),
    "tn": (("translations", "translations"), "translationKey"),
    "entity": (("entities", "entities"), "name"),
}
_Swap: TypeAlias = Callable[[str], str]
_Pairs: TypeAlias = dict[tuple[str, str], str]


def by_id(projection: Json) -> None:
    """Every reference to something that is there names its id from now on."""
    _swap_all(projection, {(prefix, name): id for prefix, name, id in _known(projection)}, _own_by_name)


def by_name(projection: Json) -> None:
    _swap_all(projection, {(prefix, id): name for prefix, name, id in _known(projection)}, _own_by_id)


def _known(projection: Json) -> Iterator[tuple[str, str, str]]:
    for prefix, (where, key) in _NAMED.items():
        for id, each in entities(projection, *where).items():
            yield prefix, each.get(key, ""), id


def _own_by_name(flow: Json) -> _Pairs:
    return {("ft", each["name"]): id for id, each in entities(flow, "transitionFunctions").items()}


def _own_by_id(flow: Json) -> _Pairs:
    return {("ft", id): each["name"] for id, each in entities(flow, "transitionFunctions").items()}


def _swap_all(projection: Json, pairs: _Pairs, own: Callable[[Json], _Pairs]) -> None:
    swap = _swapping(pairs)
    for holder, keys in _holders(projection):
        _put(holder, keys, swap)
    for flow in entities(projection, "flows", "flows").values():
        swap_here = _swapping({**pairs, **own(flow)})
        for step in entities(flow, "steps").values():
            _put(step, ("prompt",), swap_here)
            _put_delays(mapping(step.get("function")), swap)
        for function in entities(flow, "transitionFunctions").values():
            _put_delays(function, swap)
    for function in [
        *entities(projection, "functions", "functions").values(),
        *projection["specialFunctions"].values(),
    ]:
        _put_delays(function, swap)


def _holders(projection: Json) -> Iterator[tuple[Json, tuple[str, ...]]]:
    """What holds texts outside flows in which references are, and under which keys."""
    for topic in entities(projection, "knowledgeBase", "topics").values():
        yield topic, ("actions", "content")
    for topic in entities(projection, "childOverwrites", "knowledgeBase", "topics").values():
        yield topic, ("actions", "content")
    for template in entities(projection, "sms", "templates").values():
        yield template, ("text",)
    for guardrail in entities(projection, "guardrails", "customGuardrails").values():
        yield guardrail, ("action",)
    yield projection["agentSettings"]["persona"], ("content",)
    yield projection["agentSettings"]["rules"], ("behaviour",)
    for channel in projection["channels"].values():
        yield mapping(mapping(channel.get("config")).get("greeting")), ("welcomeMessage",)
        yield mapping(channel.get("disclaimer")), ("message",)


def _put_delays(function: Json, swap: _Swap) -> None:
    for message in entities(mapping(function.get("latencyControl")), "delayResponses").values():
        _put(message, ("message",), swap)


def _put(holder: Json, keys: tuple[str, ...], swap: _Swap) -> None:
    for key in keys:
        if isinstance(holder.get(key), str):
            holder[key] = swap(holder[key])


def _swapping(pairs: _Pairs) -> _Swap:
    def swap(text: str) -> str:
        return _REFERENCE.sub(
            lambda found: (
                f"{{{{{found[1]}:{pairs[found[1], found[2]]}}}}}" if (found[1], found[2]) in pairs else found[0]
            ),
            text,
        )

    return swap
