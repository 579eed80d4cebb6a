"""What loading a large folder costs: 2,000 topics and 200 functions, cold, from the cache, and its indexes.

Beside each figure its peer: reading the same files without parsing, and parsing them without positions.  `python bench/loading.py`
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from time import perf_counter

from ruamel.yaml import YAML

from vivavoce.knowledge.embedded import packaged
from vivavoce.knowledge.indexing import KeptVectors, embedded
from vivavoce.knowledge.lexical import Lexical
from vivavoce.project.cache import load_cached
from vivavoce.project.tree import read_tree

WORDS = [
    "table",
    "guest",
    "kitchen",
    "order",
    "window",
    "garden",
    "bread",
    "soup",
    "wine",
    "river",
    "bridge",
    "market",
    "station",
    "ticket",
    "morning",
    "evening",
    "winter",
    "summer",
    "letter",
    "number",
    "account",
    "payment",
    "delivery",
    "parcel",
    "address",
    "street",
    "doctor",
    "nurse",
    "hospital",
    "school",
    "teacher",
    "garage",
    "engine",
    "bicycle",
]


def write(folder: Path, topics: int, functions: int) -> None:
    chance = random.Random(7)

    def words(count: int) -> str:
        return " ".join(chance.choices(WORDS, k=count))

    (folder / "topics").mkdir(parents=True)
    (folder / "functions").mkdir()
    (folder / "project.yaml").write_text("project_id: large\naccount_id: bench\n")
    for n in range(topics):
        queries = "".join(f"- {words(7)}?\n" for _ in range(8))
        actions = f"{words(30)} {{{{fn:f{n % functions}}}}}"
        (folder / f"topics/topic_{n}.yaml").write_text(
            f"name: topic {n}\nenabled: true\nactions: |-\n  {actions}\ncontent: |-\n  {words(60)}\nexample_queries:\n{queries}"
        )
    for n in range(functions):
        body = "\n".join(f"    conv.state.v{n}_{line} = a" for line in range(40))
        (folder / f"functions/f{n}.py").write_text(
            f"from _gen import *\n\n\n@func_description('does {n}')\n@func_parameter('a', 'x')\n"
            f"def f{n}(conv: Conversation, a: str):\n{body}\n    return 'x'\n"
        )


def timed(name: str, work: object, target: str = "") -> object:
    began = perf_counter()
    result = work()  # type: ignore[operator]
    print(f"| {name} | {perf_counter() - began:.2f} | {target} |", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--topics", type=int, default=2000)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--vectors", action="store_true", help="also embed all topics, which takes minutes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, cache = Path(scratch) / "agent", Path(scratch) / "cache"
        write(folder, options.topics, options.functions)
        print(f"{options.topics} topics, {options.functions} functions; seconds\n\n| | s | target |\n|---|---|---|")
        tree = timed("reading the files", lambda: read_tree(folder))
        plain = YAML(typ="safe", pure=True)
        topics = [content.decode() for path, content in tree.files.items() if path.startswith("topics/")]  # type: ignore[attr-defined]
        timed(
            "peer: the topics by ruamel.yaml's safe loader, without positions", lambda: [plain.load(t) for t in topics]
        )
        loaded = timed("loading, cold", lambda: load_cached(tree, cache, name="large"), "5")  # type: ignore[arg-type]
        timed("loading, from the cache", lambda: load_cached(tree, cache, name="large"), "0.5")  # type: ignore[arg-type]
        agent = loaded.agent  # type: ignore[attr-defined]
        timed("index of words", lambda: Lexical(tuple(agent.topics.values())), "10")
        embedder = packaged()
        if embedder is not None and options.vectors:
            texts = [
                t for topic in agent.topics.values() for t in (topic.name, *topic.example_queries, topic.content[:400])
            ]
            kept = KeptVectors(embedder, Path(scratch) / "vectors.db")
            timed(f"vectors of {len(texts)} texts, the first time (in the background)", lambda: embedded(texts, kept))
            timed("the same, kept", lambda: embedded(texts, kept))


if __name__ == "__main__":
    main()
