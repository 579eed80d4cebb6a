"""Entities: the kinds of value that a conversation collects, with the bounds each may have."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class Numeric(Struct, frozen=True, kw_only=True, tag="numeric"):
    """A number; whole unless `has_decimal`."""

    has_decimal: bool = False
    least: float | None = None
    most: float | None = None


class Quantity(Struct, frozen=True, kw_only=True, tag="quantity"):
    """How many of something."""

    has_decimal: bool = True
    least: float | None = 0
    most: float | None = None


class Currency(Struct, frozen=True, kw_only=True, tag="currency"):
    """An amount of money in major units: 25.5 is twenty-five pounds fifty."""

    least: float | None = 0
    most: float | None = None


class Alphanumeric(Struct, frozen=True, kw_only=True, tag="alphanumeric"):
    """A reference, code or postcode. `pattern` "" takes anything; `group` names the part of the match that counts."""

    pattern: str = ""
    group: int = 0
    label: str = ""  # what the author calls it: zip, order number, ...


class Email(Struct, frozen=True, kw_only=True, tag="email"):
    pattern: str = ""
    group: int = 0


class Enum(Struct, frozen=True, kw_only=True, tag="enum"):
    options: tuple[str, ...] = ()


class Date(Struct, frozen=True, kw_only=True, tag="date"):
    """A day; `earliest` and `latest` are YYYY-MM-DD, both included."""

    allows_relative: bool = True
    day_first: bool = True
    earliest: str = ""
    latest: str = ""


class Time(Struct, frozen=True, kw_only=True, tag="time"):
    """A time of day; `earliest`, `latest` and `pivot` are HH:MM. An hour without a half that lies before the pivot is
    one of the afternoon."""

    earliest: str = ""
    latest: str = ""
    pivot: str = ""
    format: str = "%H:%M"


class Phone(Struct, frozen=True, kw_only=True, tag="phone_number"):
    """`regions` are ISO 3166 codes; none means any."""

    regions: tuple[str, ...] = ()
    is_checked: bool = True  # False: any run of 7 to 15 digits will do


class Name(Struct, frozen=True, kw_only=True, tag="name_config"):
    pass


class Address(Struct, frozen=True, kw_only=True, tag="address"):
    pass


class FreeText(Struct, frozen=True, kw_only=True, tag="free_text"):
    pass


Kind: TypeAlias = (
    Numeric | Quantity | Currency | Alphanumeric | Email | Enum | Date | Time | Phone | Name | Address | FreeText
)


class Entity(Struct, frozen=True, kw_only=True):
    """A named value that default steps collect; `description` tells the model what it is and how to write it."""

    name: str
    kind: Kind = FreeText()
    description: str = ""

    @property
    def type(self) -> str:
        """The format's word for its kind."""
        return str(self.kind.__struct_config__.tag)
