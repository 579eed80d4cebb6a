"""How often the language of what was said is told, among eight.  `python bench/languages.py [--errors]`

Nothing was tuned on this set but the two thresholds, on the half that the hash puts aside; only the other half counts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter

from entities import is_held_out
from vivavoce.entities.languages import detect, prepare

TAGS = ("en-GB", "es-ES", "fr-FR", "de-DE", "it-IT", "pt-PT", "nl-NL", "pl-PL")
DATA = Path(__file__).parent / "data" / "languages.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--errors", action="store_true")
    options = parser.parse_args()
    prepare()
    cases = [json.loads(line) for line in DATA.read_text("utf-8").splitlines()]
    cases = [case for case in cases if is_held_out(case["said"])]
    began = perf_counter()
    answers = [detect(case["said"], TAGS) for case in cases]
    milliseconds = (perf_counter() - began) / len(cases) * 1000
    right = none = wrong = 0
    for case, tag in zip(cases, answers, strict=True):
        found = tag.split("-")[0] if tag else None
        right += found == case["language"]
        none += found is None and case["language"] is not None
        wrong += found is not None and found != case["language"]
        if options.errors and found != case["language"]:
            print(f"  {case['said']!r} -> {found}, is {case['language']}")
    print(f"held-out: {right} of {len(cases)} right, {none} left open, {wrong} wrong; {milliseconds:.2f} ms each")


if __name__ == "__main__":
    main()
