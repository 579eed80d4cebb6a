"""topics/, child_topics/ and context/: what the agent knows, what variants know otherwise, and notes for its authors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from vivavoce.domain.ids import clean_name
from vivavoce.project import layout
from vivavoce.project.projection import variants
from vivavoce.project.projection.parts import Folder, Json, Part, as_text, collection, entities, texts


def read(folder: Folder) -> Json:
    topics, children, documents = {}, {}, {}
    names = variants.variant_ids(folder)
    by_folder = {clean_name(name): (clean_name(name), id) for name, id in names.items()}
    for path in sorted(folder.files):
        if layout.TOPIC.fullmatch(path):
            topic = _topic(folder, path, "topics", "TOPICS")
            tags = texts(folder.yaml(path).get("tags"))
            topics[topic["id"]] = {**topic, "tags": tags}
        elif found := layout.CHILD_TOPIC.fullmatch(path):
            home, variant = by_folder.get(found[1], (found[1], ""))
            child = _topic(folder, path, f"child_topics/{home}", "CHILD_TOPICS")
            children[child["id"]] = {**child, "variantId": variant}
        elif found := layout.DOCUMENT.fullmatch(path):
            id = found[1].upper()
            documents[id] = {"id": id, "path": found[1], "content": folder.text(path)}
    return {
        "knowledgeBase": {"topics": collection(topics)},
        "childOverwrites": {"knowledgeBase": {"topics": collection(children)}},
        "documents": {"documents": collection(documents)},
    }


def _topic(folder: Folder, path: str, home: str, prefix: str) -> Json:
    item = folder.yaml(path)
    name = as_text(item.get("name")) or PurePosixPath(path).stem
    folder.is_called(path, f"{home}/{clean_name(name)}.yaml")
    return {
        "id": folder.id(prefix, path),
        "name": name,
        "actions": as_text(item.get("actions")),
        "content": as_text(item.get("content")),
        "exampleQueries": [{"query": text} for text in texts(item.get("example_queries"))],
        "isActive": item.get("enabled") is not False,
    }


def write(projection: Json) -> Iterator[Part]:
    for id, topic in entities(projection, "knowledgeBase", "topics").items():
        yield _topic_part(id, topic, "topics")
    named = {id: each["name"] for id, each in entities(projection, "variantManagement", "variants").items()}
    for id, topic in entities(projection, "childOverwrites", "knowledgeBase", "topics").items():
        if topic.get("variantId") in named:
            yield _topic_part(id, topic, f"child_topics/{clean_name(named[topic['variantId']])}")
    for document in entities(projection, "documents", "documents").values():
        yield Part(path=f"context/{document['path']}", content=document["content"])


def _topic_part(id: str, topic: Json, home: str) -> Part:
    tags = topic.get("tags")
    content = {
        "name": topic["name"],
        "enabled": bool(topic.get("isActive", True)),
        **({"tags": tags} if tags else {}),
        "actions": topic.get("actions", ""),
        "content": topic.get("content", ""),
        "example_queries": [each["query"] for each in topic.get("exampleQueries") or ()],
    }
    return Part(path=f"{home}/{clean_name(topic['name'])}.yaml", content=content, ids={"": id})
