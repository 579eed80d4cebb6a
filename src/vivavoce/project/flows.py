"""flows/: headers, prompt steps and function steps."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vivavoce.domain.flow import Condition, PromptStep, StepSettings
from vivavoce.domain.ids import clean_name
from vivavoce.project import references
from vivavoce.project.source import Mapping

_STEP_NAME = re.compile(r"[\w À-ɏ&,/.\-]+")
EFFORTS = ("unspecified", "minimal", "low", "medium", "high", "auto")


def header(source: Mapping) -> tuple[str, str, str]:
    """(name, description, start step) of flow_config.yaml."""
    found = (
        source.text("name", required=True),
        source.text("description"),
        source.text("start_step", required=True),
    )
    if not found[1].strip():
        source.error("description", "missing", "A flow needs a description.")
    source.close()
    return found


def step(source: Mapping) -> PromptStep:
    kind = source.text("step_type", "advanced_step", required=True, one_of=("advanced_step", "default_step"))
    name = source.text("name", required=True)
    stem = PurePosixPath(source.path).stem
    if name and clean_name(name) != stem:
        source.warn("name", "file-name", f"The file of step {name!r} should be called {clean_name(name)}.yaml.")
    if name and not _STEP_NAME.fullmatch(name):
        source.warn(
            "name", "step-name", f"Step name {name!r} has characters outside letters, digits, space and _ & , / . -"
        )
    prompt = source.text("prompt", required=True)
    found = PromptStep(
        name=name,
        kind="default" if kind == "default_step" else "advanced",
        prompt=prompt,
        functions=references.names(prompt, "ft"),
        global_functions=references.names(prompt, "fn"),
        conditions=tuple(_condition(item) for item in source.mappings("conditions")),
        extracted_entities=source.texts("extracted_entities"),
        settings=_settings(source),
    )
    source.close(ignore=("position",))
    return found


def _condition(item: Mapping) -> Condition:
    kind = item.text(
        "condition_type", "step_condition", required=True, one_of=("step_condition", "exit_flow_condition")
    )
    child = item.text("child_step", required=kind == "step_condition") or None
    found = Condition(
        name=item.text("name", required=True),
        description=item.text("description"),
        child=child if kind == "step_condition" else None,
        required_entities=item.texts("required_entities"),
    )
    item.close(ignore=("position",))
    return found


def _settings(source: Mapping) -> StepSettings:
    dtmf = source.mapping("dtmf_config")
    for key in ("inter_digit_timeout", "max_digits"):
        dtmf.number(key, 0, least=0)
    vad = source.mapping("vad")
    for key in ("vad_start", "vad_end"):
        vad.number(key, 0, least=0)
    llm = source.mapping("llm")
    effort = llm.text("reasoning_effort", "unspecified", one_of=EFFORTS)
    barge_in = source.mapping("barge_in")
    return StepSettings(
        asr_biasing=source.plain("asr_biasing"),
        dtmf=source.plain("dtmf_config"),
        asr=source.plain("asr"),
        vad=source.plain("vad"),
        barge_in=barge_in.flag("is_enabled") if "is_enabled" in barge_in else None,
        model=llm.text("provider_model_id") or None,
        reasoning_effort=None if effort == "unspecified" else effort,
    )
