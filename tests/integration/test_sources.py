"""Connected sources: documents beside the topics, found by the passage, shown with their place, indexed once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.test_turns import converse, prompts
from tests.support.talk import run, serving, write
from vivavoce.domain.agent import Passage
from vivavoce.knowledge.indexing import KeptVectors, embedded
from vivavoce.knowledge.passages import PassageIndex
from vivavoce.models.local.model import LocalModel
from vivavoce.project.cache import load_cached
from vivavoce.project.source import Faults
from vivavoce.project.sources import LONGEST_CHARACTERS, passages
from vivavoce.project.tree import read_tree

GUIDE = """# Returns

Goods can be sent back within thirty days of delivery. Keep the receipt.

## Damaged parcels

Photograph a damaged parcel before it is opened. The courier collects it free of charge.
"""
HTML = "<html><head><title>x</title><style>p{}</style></head><body><h1>Opening</h1><p>The depot opens at <b>seven</b>.</p><script>alert('x')</script></body></html>"
CSV = "depot,town,phone\nNorth,York,01904 000000\nSouth,Hove,01273 000000\n"


def pdf(text: str) -> bytes:
    """The smallest PDF with one line of text."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 4 0 R>>>>/Contents 5 0 R>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Length " + str(len(stream)).encode() + b">>stream\n" + stream + b"\nendstream",
    ]
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = b"".join(f"{o:010d} 00000 n \n".encode() for o in offsets)
    start = len(out)
    out += (
        b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n"
        + str(start).encode()
    )
    return out + b"\n%%EOF"


def test_a_passage_is_found_shown_to_the_model_and_stands_on_the_turn_with_its_place(tmp_path: Path) -> None:
    reply = converse(tmp_path, {"sources/help/guide.md": GUIDE}, "My parcel is damaged, what now?").replies[1]
    assert reply["metadata"]["retrievedSources"] == ["help/guide.md"]
    (passage,) = reply["metadata"]["retrievedPassages"]
    assert GUIDE[passage["start"] : passage["end"]] == passage["text"]
    assert passage["text"].startswith("Photograph a damaged parcel")
    assert "Photograph a damaged parcel" in prompts(reply)["connected_sources"]


def test_topics_come_first_and_the_model_is_told_that_they_win(tmp_path: Path) -> None:
    topic = "name: damaged parcels\ncontent: Ring us about a damaged parcel.\nexample_queries: [my parcel is damaged]\n"
    reply = converse(
        tmp_path, {"sources/guide.md": GUIDE, "topics/damaged_parcels.yaml": topic}, "my parcel is damaged"
    ).replies[1]
    titles = list(prompts(reply))
    assert titles.index("context_information") < titles.index("connected_sources")
    assert "where the two differ, CONTEXT_INFORMATION is right" in prompts(reply)["connected_sources"]
    assert reply["metadata"]["retrievedTopics"] == ["damaged parcels"]


def test_a_question_that_no_source_answers_finds_none(tmp_path: Path) -> None:
    reply = converse(tmp_path, {"sources/guide.md": GUIDE}, "Do you sell bicycles?", "").replies
    assert [r["metadata"]["retrievedSources"] for r in reply[1:]] == [[], []]


def test_every_kind_of_document_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sources/a.html": HTML, "sources/b.csv": CSV, "sources/c.txt": "Plain words."})
    (folder / "sources" / "d.pdf").write_bytes(pdf("Parking is free on Sundays."))
    faults = Faults()
    found = {p.source: p for p in passages(read_tree(folder).files, faults)}
    assert found["a.html"].text == "The depot opens at seven." and found["a.html"].heading == "Opening"
    assert found["b.csv"].text == "depot: South; town: Hove; phone: 01273 000000"
    assert CSV[found["b.csv"].start : found["b.csv"].end].startswith("South,Hove")
    assert found["c.txt"].text == "Plain words." and found["d.pdf"].text == "Parking is free on Sundays."
    assert faults.found == []


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4\nnonsense", b"not a pdf", pdf("x")[:300]])
def test_a_document_that_cannot_be_read_is_a_warning_and_keeps_nothing_else_out(content: bytes, tmp_path: Path) -> None:
    folder = write(tmp_path, {"sources/good.txt": "Good words."})
    (folder / "sources" / "bad.pdf").write_bytes(content)
    (folder / "sources" / "bad.txt").write_bytes(b"\xff\xfe\x00")
    faults = Faults()
    assert [p.source for p in passages(read_tree(folder).files, faults)] == ["good.txt"]
    assert {f.path for f in faults.found} == {"sources/bad.pdf", "sources/bad.txt"}
    assert {f.severity for f in faults.found} == {"warning"}


@given(st.text(max_size=4000))
def test_passages_cover_a_text_in_order_and_each_is_what_stands_at_its_place(text: str) -> None:
    found = passages({"sources/x.txt": text.encode("utf-8", "replace")}, Faults())
    plain = text.encode("utf-8", "replace").decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    last = 0
    for passage in found:
        assert plain[passage.start : passage.end] == passage.text and passage.start >= last
        assert len(passage.text) <= LONGEST_CHARACTERS * 2
        last = passage.end
    lost = "".join(plain.split())
    assert sum(len("".join(p.text.split())) for p in found) <= len(lost)


class Counting:
    """An embedder of letters, which counts what it is asked."""

    name = "letters"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        rows = [[float(text.lower().count(c)) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
        return [[x / (sum(y * y for y in row) ** 0.5 or 1) for x in row] for row in rows]


def test_only_what_has_changed_is_embedded_again(tmp_path: Path) -> None:
    first = Counting()
    embedded(["one", "two"], KeptVectors(first, tmp_path / "v.db"))
    second = Counting()
    rows = embedded(["two", "three", "one"], KeptVectors(second, tmp_path / "v.db"))
    assert sorted(first.texts) == ["one", "two"] and [t for t in second.texts if t != "size"] == ["three"]
    assert rows.shape == (3, 26) and abs(rows[0][ord("w") - 97] - 1 / 3**0.5) < 1e-3


def test_a_damaged_cache_of_vectors_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    path.write_bytes(b"not a database at all" * 100)
    kept = KeptVectors(Counting(), path)
    assert len(kept.embed(["one"])) == 1 and len(kept.embed(["one"])) == 1


def test_a_folder_is_parsed_once_and_again_when_it_or_the_cache_has_changed(tmp_path: Path) -> None:
    folder, cache = write(tmp_path / "agent", {"topics/a.yaml": "name: a\ncontent: x\n"}), tmp_path / "cache"
    tree = read_tree(folder)
    first = load_cached(tree, cache)
    (kept,) = cache.iterdir()
    assert load_cached(tree, cache) == first
    kept.write_bytes(b"\x00damaged")
    assert load_cached(tree, cache) == first
    write(folder, {"topics/a.yaml": "name: a\ncontent: y\n"})
    assert load_cached(read_tree(folder), cache).agent.topics["a"].content == "y"


def test_words_are_searched_while_the_vectors_are_not_there_yet() -> None:
    class Slow(Counting):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            time.sleep(0.2)
            return super().embed(texts)

    passage = Passage(source="s", start=0, end=9, text="Parcels are collected free of charge.")
    index = PassageIndex((passage,), Counting(), Slow())
    assert [found.number for found in index.search("are parcels collected?")] == [0]
    index.wait(5)
    assert [found.number for found in index.search("are parcels collected?")] == [0]


def test_the_embedded_model_answers_from_a_source_when_no_topic_does(tmp_path: Path) -> None:
    async def hold() -> str:
        async with serving(write(tmp_path, {"sources/guide.md": GUIDE}), LocalModel(None)) as talk:
            one = talk()
            await one.open()
            return str((await one.say("Within how many days can goods be sent back?"))["response"])

    assert run(hold()).startswith("Goods can be sent back within thirty days")
