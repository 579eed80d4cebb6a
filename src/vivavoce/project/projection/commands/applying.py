"""A batch of commands applied to a projection. One that cannot be applied is refused by its number and type, and with it all."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from vivavoce.domain.pushed import Command
from vivavoce.errors import Invalid
from vivavoce.project.projection.commands import cases, flows, functions, integrations, lists, settings, variants
from vivavoce.project.projection.commands.held import Change, Refusal
from vivavoce.project.projection.parts import Json

CHANGES: dict[str, Change] = {}
for _family in (lists, variants, functions, flows, integrations, settings, cases):
    CHANGES |= _family.CHANGES


class CommandRefused(Invalid):
    code = "COMMAND_REFUSED"


def apply(projection: Json, commands: Sequence[Command]) -> Json:
    """The projection after all of them. Raises CommandRefused."""
    after = copy.deepcopy(projection)
    for number, command in enumerate(commands, 1):
        change = CHANGES.get(command.type)
        try:
            if change is None:
                raise Refusal("this type is not applied here")
            change(after, command.payload)
        except Refusal as refusal:
            raise CommandRefused(
                f"Command {number} of {len(commands)} ({command.type}): {refusal}. Nothing was changed."
            ) from None
    return after
