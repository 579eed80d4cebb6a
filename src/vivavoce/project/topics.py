"""topics/: the pieces of the knowledge base."""

from __future__ import annotations

from pathlib import PurePosixPath

from vivavoce.domain.agent import Topic
from vivavoce.domain.ids import clean_name
from vivavoce.project.source import Mapping

MOST_EXAMPLE_QUERIES = 20


def topic(source: Mapping) -> Topic:
    stem = PurePosixPath(source.path).stem
    name = source.text("name") or stem
    queries = source.texts("example_queries")
    if len(queries) > MOST_EXAMPLE_QUERIES:
        source.warn(
            "example_queries",
            "too-many",
            f"{len(queries)} example queries; more than {MOST_EXAMPLE_QUERIES} are not in the format.",
        )
    if clean_name(name) != stem:
        source.warn("name", "file-name", f"The file of topic {name!r} should be called {clean_name(name)}.yaml.")
    source.texts("tags")  # for authors
    found = Topic(
        name=name,
        content=source.text("content"),
        actions=source.text("actions"),
        example_queries=queries,
        enabled=source.flag("enabled", True),
        path=source.path,
    )
    source.close()
    return found
