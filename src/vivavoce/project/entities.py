"""config/entities.yaml: what default steps collect, each with a typed kind."""

from __future__ import annotations

import re

import phonenumbers

from vivavoce.domain.entity import (
    Address,
    Alphanumeric,
    Date,
    Entity,
    Enum,
    FreeText,
    Kind,
    Name,
    Numeric,
    Phone,
    Time,
)
from vivavoce.project.configuration import named
from vivavoce.project.source import Mapping
from vivavoce.project.speech import check_pattern

TYPES = (
    "numeric", "alphanumeric", "enum", "date", "phone_number", "time", "address", "free_text", "name_config",
)  # fmt: skip
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def entities(source: Mapping) -> dict[str, Entity]:
    found = {}
    for name, item in named(source, "entities"):
        config = item.mapping("config")
        kind = _kind(item.text("entity_type", "free_text", required=True, one_of=TYPES), config)
        config.close()
        found[name] = Entity(name=name, kind=kind, description=item.text("description"))
    return found


def _kind(type_: str, config: Mapping) -> Kind:
    match type_:
        case "numeric":
            return _numeric(config)
        case "alphanumeric":
            pattern = config.text("regular_expression")
            is_sound = not pattern or check_pattern(config, "regular_expression", pattern)
            is_enabled = config.flag("enabled", True)
            return Alphanumeric(
                pattern=pattern if is_enabled and is_sound else "", label=config.text("validation_type")
            )
        case "enum":
            options = config.texts("options")
            if not options:
                config.error("options", "missing", "An enum needs a list of options.")
            for option in sorted({o for o in options if options.count(o) > 1}):
                config.error("options", "duplicate", f"The option {option!r} is given more than once.")
            return Enum(options=options)
        case "date":
            return Date(allows_relative=config.flag("relative_date"))
        case "phone_number":
            regions = config.texts("country_codes")
            for region in regions:
                known = "GB" if region.upper() == "UK" else region.upper()
                if known not in phonenumbers.SUPPORTED_REGIONS:
                    config.error(
                        "country_codes", "unknown-value", f"{region!r} is not a country code such as GB or US."
                    )
            return Phone(regions=regions, is_checked=config.flag("enabled", True))
        case "time":
            return _time(config)
        case "address":
            return Address()
        case "name_config":
            return Name()
        case _:
            return FreeText()


def _numeric(config: Mapping) -> Numeric:
    has_range = config.flag("has_range", "min" in config or "max" in config)
    least, most = config.number("min"), config.number("max")
    if has_range and "max" in config and most < least:
        config.error("max", "out-of-range", f"max is {most:g}, less than min, which is {least:g}.")
    return Numeric(
        has_decimal=config.flag("has_decimal"),
        least=least if has_range else None,
        most=most if has_range and ("max" in config or "min" not in config) else None,
    )


def _time(config: Mapping) -> Time:
    window = {}
    for key in ("start_time", "end_time"):
        text = config.text(key)
        if text and not _CLOCK.fullmatch(text):
            config.error(key, "bad-time", f"{key} is {text!r}; it should be a time of day such as 09:30.")
            text = ""
        window[key] = text
    if not config.flag("enabled", True):
        return Time()
    return Time(earliest=window["start_time"], latest=window["end_time"])
