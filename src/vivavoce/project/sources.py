"""sources/: documents beside the topics, cut into passages that know where in their document they stand."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterator

from vivavoce.domain.agent import Passage
from vivavoce.project import html, layout
from vivavoce.project.source import Faults

PASSAGE_CHARACTERS = 600  # about what one reading of an embedding model takes in
LONGEST_CHARACTERS = 900  # of a passage whose sentences cannot be cut
MAX_DOCUMENT_CHARACTERS = 2_000_000
MAX_PAGES = 2000
_HEADING = re.compile(r"^(#{1,6})\s+(\S.*)$")
_PARAGRAPH = re.compile(r"\n[ \t]*\n+")
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|\n")


def passages(files: dict[str, bytes], faults: Faults) -> tuple[Passage, ...]:
    """All passages of all documents, in order of path. A document that cannot be read is a warning, not an end."""
    found: list[Passage] = []
    for path in sorted(files):
        if not layout.SOURCE.fullmatch(path):
            continue
        text = _text(path, files[path], faults)
        if text is None:
            continue
        if len(text) > MAX_DOCUMENT_CHARACTERS:
            faults.warn(
                path,
                1,
                "too-large",
                f"Only the first {MAX_DOCUMENT_CHARACTERS:,} characters of this document are read.",
            )
            text = text[:MAX_DOCUMENT_CHARACTERS]
        name = path.removeprefix("sources/")
        cut = list(_rows(name, text) if path.lower().endswith(".csv") else _passages(name, text))
        if not cut:
            faults.warn(path, 1, "empty", "There is no text in this document.")
        found += cut
    return tuple(found)


def _text(path: str, content: bytes, faults: Faults) -> str | None:
    if path.lower().endswith(".pdf"):
        return _pdf(path, content, faults)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        faults.warn(path, line, "encoding", "The document is not UTF-8 text and is left out.")
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return html.text_of(text) if path.lower().endswith((".html", ".htm")) else text


def _pdf(path: str, content: bytes, faults: Faults) -> str | None:
    """Page by page; a form feed stands between two pages."""
    from pypdf import PdfReader  # noqa: PLC0415  # slow to load, and seldom needed
    from pypdf.errors import PyPdfError  # noqa: PLC0415

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted:
            faults.warn(path, 1, "encrypted", "The document is encrypted and is left out.")
            return None
        pages = [page.extract_text() for _, page in zip(range(MAX_PAGES), reader.pages, strict=False)]
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OSError) as error:
        faults.warn(path, 1, "pdf", f"The document cannot be read as PDF ({type(error).__name__}) and is left out.")
        return None
    return "\n\n".join(pages)


def _passages(name: str, text: str) -> Iterator[Passage]:
    """Paragraphs under their heading, joined while they fit and cut at sentences where they do not."""
    heading = ""
    start = end = -1  # of the passage that is being gathered
    for first, last in _paragraphs(text):
        while match := _HEADING.match(text[first:last].split("\n")[0]):
            if start >= 0:
                yield _passage(name, text, start, end, heading)
                start = -1
            heading = match[2].rstrip().rstrip("#").rstrip() or match[2].strip()
            first = min(last, first + match.end() + 1)
        if not text[first:last].strip():
            continue
        for piece_first, piece_last in _pieces(text, first, last):
            if start >= 0 and piece_last - start > PASSAGE_CHARACTERS:
                yield _passage(name, text, start, end, heading)
                start = -1
            if start < 0:
                start = piece_first
            end = piece_last
    if start >= 0:
        yield _passage(name, text, start, end, heading)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for match in [*_PARAGRAPH.finditer(text), None]:
        until = match.start() if match else len(text)
        if text[at:until].strip():
            yield at, until
        at = match.end() if match else until


def _pieces(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """A paragraph whole, or its sentences when it is too long, or stretches of them when those are."""
    if last - first <= PASSAGE_CHARACTERS:
        yield first, last
        return
    at = first
    for match in [*_SENTENCE.finditer(text, first, last), None]:
        until = match.start() if match else last
        while until - at > LONGEST_CHARACTERS:
            space = text.rfind(" ", at + 1, at + LONGEST_CHARACTERS)
            cut = space if space > at else at + LONGEST_CHARACTERS
            yield at, cut
            at = cut
        if text[at:until].strip():
            yield at, until
        at = match.end() if match else until


def _passage(name: str, text: str, start: int, end: int, heading: str) -> Passage:
    kept = text[start:end]
    start += len(kept) - len(kept.lstrip())
    return Passage(source=name, start=start, end=start + len(kept.strip()), heading=heading, text=kept.strip())


def _rows(name: str, text: str) -> Iterator[Passage]:
    """Each row with the names of its columns; its offsets are those of its lines."""
    lines = io.StringIO(text)
    offsets = [0]
    for line in text.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    reader = csv.reader(lines)
    header: list[str] = []
    before = 0
    try:
        for row in reader:
            first, before = before, reader.line_num
            if not header:
                header = [cell.strip() for cell in row]
                continue
            named = [f"{column}: {cell.strip()}" for column, cell in zip(header, row, strict=False) if cell.strip()]
            if named:
                start, end = offsets[first], min(offsets[reader.line_num], len(text))
                yield Passage(source=name, start=start, end=end, text="; ".join(named)[: LONGEST_CHARACTERS * 2])
    except csv.Error:
        return  # a field beyond all measure: what came before it is kept
