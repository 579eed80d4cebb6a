"""How often a value is understood, by kind: what people said against what they meant.

The set was written by somebody who had not seen the rules, and is split by hash: rules are tuned on one half, only figures of
the other count.  `python bench/entities.py [--tune] [--errors]`
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from vivavoce.domain import entity
from vivavoce.entities.validation import Valid, validate

NOW = datetime(2026, 3, 11, 10, tzinfo=ZoneInfo("Europe/London"))
DATA = Path(__file__).parent / "data" / "entity_values.jsonl"


def kind(type_: str, config: dict[str, Any]) -> entity.Kind:
    match type_:
        case "numeric":
            has_range = config.get("has_range")
            return entity.Numeric(
                has_decimal=config.get("has_decimal", False),
                least=config.get("min") if has_range else None,
                most=config.get("max") if has_range else None,
            )
        case "alphanumeric":
            return entity.Alphanumeric(pattern=config["regular_expression"])
        case "enum":
            return entity.Enum(options=tuple(config["options"]))
        case "date":
            return entity.Date(allows_relative=config["relative_date"])
        case "time":
            return entity.Time(earliest=config.get("start_time", ""), latest=config.get("end_time", ""))
        case "phone_number":
            return entity.Phone(regions=tuple(config["country_codes"]))
        case "email":
            return entity.Email()
        case "currency":
            return entity.Currency()
        case "quantity":
            return entity.Quantity()
        case _:
            return entity.Name()


def is_held_out(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--errors", action="store_true")
    options = parser.parse_args()
    right: Counter[str] = Counter()
    count: Counter[str] = Counter()
    wrong_values = 0
    for line in DATA.read_text("utf-8").splitlines():
        case = json.loads(line)
        if is_held_out(case["said"]) is options.tune:
            continue
        found = validate(case["said"], kind(case["type"], case["config"]), NOW)
        value = found.typed if isinstance(found, Valid) else None
        is_right = value == case["expected"]
        count[case["type"]] += 1
        right[case["type"]] += is_right
        wrong_values += not is_right and value is not None
        if options.errors and not is_right:
            print(f"  {case['type']}: {case['said']!r} -> {value!r}, wanted {case['expected']!r}")
    half = "tuning" if options.tune else "held-out"
    for type_ in count:
        print(f"{type_:14} {right[type_]:3} of {count[type_]:3}")
    total, good = sum(count.values()), sum(right.values())
    print(f"{half}: {good} of {total} right ({good / total:.0%}); {wrong_values} understood as something else")


if __name__ == "__main__":
    main()
