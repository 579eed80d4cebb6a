"""Default steps: the model saves entities and takes conditions through tools of ours; both are checked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from msgspec import Raw, Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import Collected, Extraction, Tool, ToolCall, Transition
from vivavoce.domain.entity import (
    Address,
    Alphanumeric,
    Currency,
    Date,
    Email,
    Enum,
    FreeText,
    Kind,
    Name,
    Numeric,
    Phone,
    Quantity,
    Time,
)
from vivavoce.domain.flow import Condition, PromptStep
from vivavoce.domain.ids import clean_name
from vivavoce.engine.effects import Effect
from vivavoce.entities.validation import Valid, validate
from vivavoce.errors import NOT_JSON

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft

SAVE_TOOL = "save_entities"


class Collecting(Struct, frozen=True, kw_only=True):
    """What a default step gives the model: one tool that saves, and one for each way out."""

    entities: tuple[str, ...]
    conditions: dict[str, Condition]  # by tool name
    tools: tuple[Tool, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(tool.name for tool in self.tools)


def collecting(agent: Agent, step: PromptStep) -> Collecting:
    conditions: dict[str, Condition] = {}
    for condition in step.conditions:
        name = base = f"take_{clean_name(condition.name)[:50] or 'condition'}"
        number = 2
        while name in conditions or name in agent.functions:
            name, number = f"{base}_{number}", number + 1
        conditions[name] = condition
    entities = tuple(name for name in step.extracted_entities if name in agent.entities)
    tools = [_take_tool(name, condition) for name, condition in conditions.items()]
    if entities:
        tools.insert(0, _save_tool(agent, entities))
    return Collecting(entities=entities, conditions=conditions, tools=tuple(tools))


def _save_tool(agent: Agent, names: tuple[str, ...]) -> Tool:
    properties: dict[str, dict[str, Any]] = {}
    for name in names:
        entity = agent.entities[name]
        described = entity.description.strip()
        if described and described[-1] not in ".!?":
            described += "."
        described = " ".join(filter(None, (described, _hint(entity.kind))))
        properties[name] = {"type": "string", "description": described or name.replace("_", " ")}
        if isinstance(entity.kind, Enum) and entity.kind.options:
            properties[name]["enum"] = [*entity.kind.options, ""]
    return Tool(
        name=SAVE_TOOL,
        description=(
            "Saves what the user has said. Call it as soon as the user gives any of these, with what they gave; leave the "
            "others out."
        ),
        schema={"type": "object", "properties": properties, "required": []},
        reference=SAVE_TOOL,
    )


def _take_tool(name: str, condition: Condition) -> Tool:
    needed = ", ".join(condition.required_entities)
    described = f"{condition.name}. {condition.description}".strip()
    return Tool(
        name=name,
        description=f"{described} Needs these saved first: {needed}." if needed else described,
        schema={"type": "object", "properties": {}, "required": []},
        reference=name,
    )


def _hint(kind: Kind) -> str:
    """How a value of that kind is to be written."""
    match kind:
        case Numeric() | Quantity() | Currency():
            bounds = [f"from {kind.least:g}"] if kind.least is not None else []
            bounds += [f"up to {kind.most:g}"] if kind.most is not None else []
            whole = "A whole number" if isinstance(kind, Numeric) and not kind.has_decimal else "A number"
            return f"{' '.join([whole, *bounds])}."
        case Date():
            return (
                "As YYYY-MM-DD."
                if kind.allows_relative
                else "A full date, as YYYY-MM-DD; ask when it is only relative."
            )
        case Time():
            window = f" from {kind.earliest} to {kind.latest}" if kind.earliest and kind.latest else ""
            return f"As HH:MM{window}."
        case Phone():
            return f"A telephone number{' of ' + ', '.join(kind.regions) if kind.regions else ''}, digits only."
        case Enum():
            return f"One of: {', '.join(kind.options)}."
        case Alphanumeric():
            return f"({kind.label})" if kind.label else ""
        case Email():
            return "An e-mail address."
        case Name() | Address() | FreeText():
            return ""
        case _:
            assert_never(kind)


def run(draft: Draft, call: ToolCall, step: Collecting) -> Effect:
    if call.name == SAVE_TOOL:
        return _save(draft, call, step)
    return _take(draft, step.conditions[call.name])


def _save(draft: Draft, call: ToolCall, step: Collecting) -> Effect:
    try:
        given = msgspec.json.decode(call.arguments or "{}")
    except NOT_JSON:
        given = None
    if not isinstance(given, dict):
        return Effect(content="The arguments are not a JSON object. Call the function again with one.")
    draft.visit("entity_validation")
    saved, refused = [], []
    now = draft.local_now()
    for name in step.entities:
        said = _text(given.get(name))
        if not said:
            continue
        entity = draft.agent.entities[name]
        found = validate(said, entity.kind, now)
        if isinstance(found, Valid):
            draft.collect(name, Collected(value=found.value, typed=found.typed, type=entity.type, parts=found.parts))
            draft.extractions.append(Extraction(name=name, heard=said, value=found.value))
            saved.append(f"{name} = {found.value}")
        else:  # an earlier value stands
            draft.extractions.append(Extraction(name=name, heard=said, error=found.reason))
            refused.append(f"{name}: {found.reason}")
    lines = [f"Saved: {', '.join(saved)}."] if saved else ["Nothing was saved."]
    if refused:
        lines.append(f"Not saved: {'; '.join(refused)}. Do not repeat this; ask the user for it again.")
    needed = [name for condition in step.conditions.values() for name in _lacking(draft, condition)]
    if needed:
        lines.append(f"Still needed: {', '.join(dict.fromkeys(needed))}.")
    ready = [name for name, c in step.conditions.items() if c.required_entities and not _lacking(draft, c)]
    if ready and saved:
        lines.append(f"All that is needed is saved for: {', '.join(ready)}. Call the one that applies.")
    return Effect(content="\n".join(lines))


def _take(draft: Draft, condition: Condition) -> Effect:
    lacking = _lacking(draft, condition)
    if lacking:
        return Effect(
            content=f"Not possible yet: {', '.join(lacking)} must be saved first. Ask the user, then call {SAVE_TOOL}."
        )
    draft.visit(f"condition:{condition.name}")
    transition = Transition(goto_step=condition.child) if condition.child else Transition(exit_flow=True)
    effect = Effect(content="Done.", transition=transition)
    draft.apply(effect)
    return effect


def _lacking(draft: Draft, condition: Condition) -> list[str]:
    return [name for name in condition.required_entities if name not in draft.entities]


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()


def as_state(collected: Collected) -> Raw:
    return Raw(msgspec.json.encode(collected.typed))
