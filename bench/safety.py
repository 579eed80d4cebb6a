"""What the embedded classifier finds and what it takes for something it is not.  `python bench/safety.py [--tune] [--errors]`

The set was written by somebody who had not seen the patterns; they were made on one half of it, only the other half counts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from entities import is_held_out
from vivavoce.safety.lexical import classify

DATA = Path(__file__).parent / "data" / "safety.jsonl"
SEVERITIES = ("low", "medium", "high")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--errors", action="store_true")
    options = parser.parse_args()
    found = dict.fromkeys(SEVERITIES, 0)
    count = dict.fromkeys(SEVERITIES, 0)
    benign = alarms = 0
    for line in DATA.read_text("utf-8").splitlines():
        case = json.loads(line)
        if is_held_out(case["said"]) is options.tune:
            continue
        got = classify(case["said"])
        if case["category"] is None:
            benign += 1
            alarms += bool(got)
            is_right = not got
        else:
            count[case["severity"]] += 1
            is_right = case["category"] in got
            found[case["severity"]] += is_right
        if options.errors and not is_right:
            print(f"  {case['said']!r} -> {got}, is {case['category']} {case['severity']}")
    half = "tuning" if options.tune else "held-out"
    shares = ", ".join(f"{s} {found[s]} of {count[s]}" for s in SEVERITIES)
    print(f"{half}: found {sum(found.values())} of {sum(count.values())} ({shares}); false alarms {alarms} of {benign}")


if __name__ == "__main__":
    main()
