"""The entity helpers of `conv.utils`: values checked by the same rules as a default step's, places read out of speech."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import Any
from zoneinfo import ZoneInfo

from vivavoce.domain import entity
from vivavoce.functions.runtime import clock, values
from vivavoce.functions.runtime.session import Running

NEAR = 0.6  # how alike a known address and what was said must be


def validate(value: Any, config: Any) -> values.EntityValidationResult:
    """The result is valid or says in `error` what was wrong; phone numbers also have `country_code` and `number`."""
    from vivavoce.entities.validation import Valid, validate  # noqa: PLC0415  # numbers of all countries: a slow import

    if isinstance(config, type) and issubclass(config, values.EntityConfig):
        config = config()
    kind = _kind(config)
    type_ = str(kind.__struct_config__.tag)
    now = clock.aware_now().astimezone(ZoneInfo(Running.zone))
    found = validate("" if value is None else str(value), kind, now)
    if not isinstance(found, Valid):
        return values.EntityValidationResult(name=type_, type=type_, valid=False, value=None, error=found.reason)
    result = values.EntityValidationResult(name=type_, type=type_, valid=True, value=found.value)
    for name, part in found.parts.items():
        setattr(result, name, part)
    return result


def _kind(config: Any) -> entity.Kind:
    for cls, make in _KINDS:
        if isinstance(config, cls):
            return make(config)
    raise values.InvalidInput(
        f"{type(config).__name__} is not an entity configuration, such as conv.utils.DateConfig()"
    )


def _numeric(config: Any) -> entity.Kind:
    kind = getattr(config.numeric_type, "value", config.numeric_type)
    return entity.Numeric(
        has_decimal=str(kind).lower() not in ("integer", "int"), least=config.min_inclusive, most=config.max_inclusive
    )


def _quantity(config: Any) -> entity.Kind:
    kind = getattr(config.numeric_type, "value", config.numeric_type)
    least = 0 if config.min_inclusive is None else config.min_inclusive
    return entity.Quantity(
        has_decimal=str(kind).lower() not in ("integer", "int"), least=least, most=config.max_inclusive
    )


def _currency(config: Any) -> entity.Kind:
    return entity.Currency(least=0 if config.min_inclusive is None else config.min_inclusive, most=config.max_inclusive)


def _date(config: Any) -> entity.Kind:
    return entity.Date(
        day_first=config.day_first is not False,
        earliest=_day(config.earliest_date_inclusive),
        latest=_day(config.latest_date_inclusive),
    )


def _time(config: Any) -> entity.Kind:
    return entity.Time(
        earliest=_clock(config.earliest_time_inclusive),
        latest=_clock(config.latest_time_inclusive),
        pivot=_clock(config.time_pivot),
        format=str(config.format or "%H:%M"),
    )


def _enum(config: Any) -> entity.Kind:
    return entity.Enum(options=tuple(str(v) for v in config.allowed_vals or ()))


def _phone(config: Any) -> entity.Kind:
    regions = [config.regions] if isinstance(config.regions, str) else config.regions
    return entity.Phone(regions=tuple(str(r) for r in regions or ()))


_KINDS: tuple[tuple[type, Callable[[Any], entity.Kind]], ...] = (
    (values.QuantityConfig, _quantity),
    (values.CurrencyConfig, _currency),
    (values.NumericConfig, _numeric),
    (values.EmailConfig, lambda c: entity.Email(pattern=str(c.custom_regex or ""), group=int(c.capturing_group or 0))),
    (
        values.AlphanumericConfig,
        lambda c: entity.Alphanumeric(pattern=str(c.custom_regex or ""), group=int(c.capturing_group or 0)),
    ),
    (values.DateConfig, _date),
    (values.TimeConfig, _time),
    (values.PhoneNumberConfig, _phone),
    (values.EnumConfig, _enum),
    (values.NameConfig, lambda c: entity.Name()),
    (values.FreeTextConfig, lambda c: entity.FreeText()),
)


def _day(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, datetime.date) else str(value or "")[:10]


def _clock(value: Any) -> str:
    if isinstance(value, (datetime.time, datetime.datetime)):
        return value.strftime("%H:%M")
    if isinstance(value, int):  # an hour
        return f"{value:02d}:00"
    return str(value or "")[:5]


# Places.


def address(said: list[str], addresses: Any, country: str) -> Any:
    """One of the known addresses when what was said is like it; without any, the parts that the model reads out of it."""
    if not any(said):
        raise values.ExtractionError("the user has not said anything yet")
    if addresses:
        best, score = None, 0.0
        for candidate in addresses:
            for text in said:
                likeness = SequenceMatcher(None, _plain(text), _plain(_written(candidate))).ratio()
                contained = _share(_plain(_written(candidate)), _plain(text))
                if max(likeness, contained) > score:
                    best, score = candidate, max(likeness, contained)
        if score >= NEAR:
            return best
        raise values.ExtractionError("none of the addresses is like what the user said")
    prompt = (
        f"Read the postal address ({country}) out of the caller's words below. Answer with one JSON object with the keys "
        "street_number, street_name, city, state, postal_code; null for what is not said.\n\n" + "\n".join(said)
    )
    return _place(prompt, country, ("street_number", "street_name", "city", "state", "postal_code"), "address")


def city(said: list[str], spellings: Any, states: Any, country: str) -> Any:
    """The city that was said or spelled, within `states` when some are given."""
    known = (
        [str(s) for s in spellings] if isinstance(spellings, (list, tuple)) else [str(spellings)] if spellings else []
    )
    heard = [*said, *known]
    if not any(heard):
        raise values.ExtractionError("the user has not said anything yet")
    within = f" in one of these states: {', '.join(map(str, states))}" if states else ""
    prompt = (
        f"Which city of {country}{within} does the caller mean? Letters read out one by one spell its name. Answer with "
        "one JSON object with the keys city and state; null when it is not clear.\n\n" + "\n".join(heard)
    )
    return _place(prompt, country, ("city", "state"), "city")


def _place(prompt: str, country: str, keys: tuple[str, ...], needed: str) -> values.Address:
    assert Running.channel is not None
    try:
        found = Running.channel.ask(
            "prompt_llm", {"prompt": prompt, "show_history": False, "return_json": True, "model": ""}
        )
    except RuntimeError as error:
        raise values.ExtractionError(str(error)) from None
    parts = {key: str(found[key]) for key in keys if isinstance(found, dict) and found.get(key) not in (None, "")}
    if not parts or (needed == "city" and "city" not in parts):
        raise values.ExtractionError(f"no {needed} could be told from what the user said")
    return values.Address(country=country, **parts)


def _written(candidate: Any) -> str:
    if isinstance(candidate, values.Value):
        return " ".join(str(v) for v in candidate.to_dict().values())
    return " ".join(str(v) for v in candidate.values()) if isinstance(candidate, dict) else str(candidate)


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def _share(wanted: str, said: str) -> float:
    words = wanted.split()
    return sum(word in said.split() for word in words) / len(words) if words else 0.0
