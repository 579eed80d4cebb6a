"""How well the redaction rules find personal data, by category, on texts that were labelled without sight of the rules.

    python bench/personal.py [--tune] [--misses]

The set is split by a hash of the text; figures are of the held-out half unless --tune asks for the other half and a
second set that was written for tuning. A span is found
when every letter and digit of it is inside a found one; a found span is right when most of it is labelled.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vivavoce.redaction.rules import personal_spans

SET = Path(__file__).parent / "data" / "personal.txt"
TUNING = SET.with_name("personal_tuning.txt")  # a second set, all of it for tuning
MARK = re.compile(r"\[\[(\w+):(.*?)\]\]")
AIM_RECALL, AIM_PRECISION = 0.95, 0.90


def read(line: str) -> tuple[str, str, list[tuple[int, int, str]]]:
    """(style, text, labelled spans)."""
    style, marked = line.rstrip("\n").split("\t", 1)
    text, spans, last = "", [], 0
    for match in MARK.finditer(marked):
        text += marked[last : match.start()]
        spans.append((len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        last = match.end()
    return style, text + marked[last:], spans


def is_tune(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


def chosen(for_tuning: bool) -> Iterator[tuple[str, str, list[tuple[int, int, str]]]]:
    for line in SET.read_text("utf-8").splitlines():
        if is_tune(read(line)[1]) == for_tuning:
            yield read(line)
    if for_tuning:
        yield from map(read, TUNING.read_text("utf-8").splitlines())


def characters(text: str, spans: list[tuple[int, int]]) -> set[int]:
    return {n for start, end in spans for n in range(start, end) if text[n].isalnum()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true", help="the half that rules were made with")
    parser.add_argument(
        "--misses", action="store_true", help="print what was missed and what was wrong (tune half only)"
    )
    options = parser.parse_args()
    labelled: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    by_style: Counter[tuple[str, bool]] = Counter()
    guessed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    seconds, texts = 0.0, 0
    for style, text, spans in chosen(options.tune):
        texts += 1
        began = time.perf_counter()
        found = personal_spans(text)
        seconds += time.perf_counter() - began
        covered = characters(text, [(s.start, s.end) for s in found])
        wanted = characters(text, [(start, end) for start, end, _ in spans])
        for start, end, category in spans:
            labelled[category] += 1
            is_hit = characters(text, [(start, end)]) <= covered
            hit[category] += is_hit
            by_style[style, is_hit] += 1
            if not is_hit and options.misses and options.tune:
                print(f"MISSED {category:16} {text[start:end]!r} in {text!r}")
        for span in found:
            guessed[span.category] += 1
            own = characters(text, [(span.start, span.end)])
            is_right = len(own & wanted) * 2 > len(own)
            right[span.category] += is_right
            if not is_right and options.misses and options.tune:
                print(f"WRONG  {span.category:16} {text[span.start : span.end]!r} in {text!r}")
    print(f"{'tune' if options.tune else 'held-out'} half: {texts} texts, {labelled.total()} spans")
    print(f"{'category':18}{'spans':>6}{'recall':>8}{'found':>8}{'precision':>11}")
    for category in sorted(labelled | guessed):
        recall = hit[category] / labelled[category] if labelled[category] else float("nan")
        precision = right[category] / guessed[category] if guessed[category] else float("nan")
        print(f"{category:18}{labelled[category]:6}{recall:8.2f}{guessed[category]:8}{precision:11.2f}")
    for style in ("typed", "spoken", "asr"):
        total = by_style[style, True] + by_style[style, False]
        print(f"recall {style:7} {by_style[style, True] / total:.3f} of {total}")
    recall, precision = hit.total() / labelled.total(), right.total() / guessed.total()
    print(f"recall    {recall:.3f} (aim {AIM_RECALL})")
    print(f"precision {precision:.3f} (aim {AIM_PRECISION})")
    print(f"{seconds / texts * 1e6:.0f} microseconds a text")


if __name__ == "__main__":
    main()
