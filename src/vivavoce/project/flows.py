"""flows/: headers, prompt steps and function steps."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vivavoce.domain.flow import Asr, AsrBiasing, Condition, Dtmf, PromptStep, StepSettings, Vad
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
        path=source.path,
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


BIASES = (
    "alphanumeric", "name_spelling", "numeric", "party_size", "precise_date", "relative_date", "single_number", "time", "yes_no",
    "address",
)  # fmt: skip
KEYS = "0123456789*#"


def _settings(source: Mapping) -> StepSettings:
    llm = source.mapping("llm")
    effort = llm.text("reasoning_effort", "unspecified", one_of=EFFORTS)
    barge_in = source.mapping("barge_in")
    found = StepSettings(
        asr_biasing=_asr_biasing(source.mapping("asr_biasing")),
        dtmf=_dtmf(source.mapping("dtmf_config")),
        asr=_asr(source.mapping("asr")),
        vad=_vad(source.mapping("vad")),
        barge_in=barge_in.flag("is_enabled") if "is_enabled" in barge_in else None,
        model=llm.text("provider_model_id") or None,
        reasoning_effort=None if effort == "unspecified" else effort,
    )
    llm.close()
    barge_in.close()
    return found


def _asr_biasing(item: Mapping) -> AsrBiasing | None:
    is_enabled = item.flag("is_enabled")
    kinds = tuple(kind for kind in BIASES if item.flag(kind))
    keywords = item.texts("custom_keywords")
    item.close()
    return AsrBiasing(kinds=kinds, custom_keywords=keywords) if is_enabled else None


def _dtmf(item: Mapping) -> Dtmf | None:
    is_enabled = item.flag("is_enabled")
    end_key = item.text("end_key", "#")
    if end_key and (len(end_key) != 1 or end_key not in KEYS):
        item.error("end_key", "unknown-value", f"end_key is {end_key!r}; it should be one of {' '.join(KEYS)}.")
    found = Dtmf(
        inter_digit_timeout=item.number("inter_digit_timeout", 0, least=0),
        max_digits=int(item.number("max_digits", 0, least=0)),
        end_key=end_key,
        collect_while_agent_speaking=item.flag("collect_while_agent_speaking"),
        is_pii=item.flag("is_pii"),
    )
    item.close()
    return found if is_enabled else None


def _asr(item: Mapping) -> Asr | None:
    found = Asr(provider=item.text("provider"), model=item.text("model"))
    item.close()
    return found if item else None


def _vad(item: Mapping) -> Vad | None:
    def seconds(key: str) -> float | None:
        value = item.number(key, -1, least=0) if key in item else -1
        return value if value >= 0 else None

    found = Vad(
        provider=item.text("provider"),
        start=seconds("vad_start"),
        end=seconds("vad_end"),
        speech_threshold=seconds("speech_threshold"),
        silence_threshold=seconds("silence_threshold"),
    )
    item.close()
    return found if item else None
