"""YAML text to nodes with their positions: libyaml's parser where it is installed, ruamel's own otherwise.

Nodes are put together here rather than by the parser's composer, which recurses in C and does not survive deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

try:
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # an interpreter that libyaml's binding is not built for: twenty times slower, otherwise the same
    CParser = None

MAX_DEPTH = 100
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def compose(text: str) -> Node | None:
    """The document's top node, or None when it is empty. Raises a YAMLError; so do a second document and deep nesting."""
    if CParser is not None:
        try:
            return _composed(_events_of_libyaml(text))
        except YAMLError:
            pass  # libyaml is of YAML 1.1 and refuses some of what 1.2 allows, `[Really?]`: the other one has the last word
    return _composed(YAML(typ="safe", pure=True).parse(text))


def _composed(events: Iterable[Any]) -> Node | None:
    open_nodes: list[Node] = []
    anchors: dict[str, Node] = {}
    top: Node | None = None
    documents = 0
    for event in events:
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ComposerError("", event.start_mark, "there is a second document in the file", event.start_mark)
            continue
        if isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            done = open_nodes.pop()
            if isinstance(done, MappingNode):
                done.value = list(zip(done.value[::2], done.value[1::2], strict=True))
            continue
        node = _node(event, anchors)
        if node is None:
            continue
        if open_nodes:
            open_nodes[-1].value.append(node)
        else:
            top = node
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            if len(open_nodes) == MAX_DEPTH:
                raise ComposerError("", event.start_mark, f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
            open_nodes.append(node)
    return top


def _node(event: Any, anchors: dict[str, Node]) -> Node | None:
    if isinstance(event, AliasEvent):
        if event.anchor not in anchors:
            raise ComposerError("", event.start_mark, f"found undefined alias {event.anchor!r}", event.start_mark)
        return anchors[event.anchor]
    node: Node
    if isinstance(event, ScalarEvent):
        if not event.value.isascii() and _SURROGATE.search(event.value):
            raise ComposerError(
                "", event.start_mark, "found half of a surrogate pair, which is no character", event.start_mark
            )
        node = ScalarNode(event.tag, event.value, event.start_mark, event.end_mark, style=event.style or None)
    elif isinstance(event, SequenceStartEvent):
        node = SequenceNode(event.tag, [], event.start_mark, event.end_mark)
    elif isinstance(event, MappingStartEvent):
        node = MappingNode(event.tag, [], event.start_mark, event.end_mark)
    else:
        return None
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _events_of_libyaml(text: str) -> Iterator[Any]:
    parser = CParser(text)
    while parser.check_event():
        yield parser.get_event()
