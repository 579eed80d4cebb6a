"""experimental_config.json: the keys that change what the engine does are typed, the rest is carried along."""

from __future__ import annotations

import re
from typing import Any

from vivavoce.domain.agent import (
    CallSettings,
    Experimental,
    Fillers,
    HandoffApi,
    InferenceOverride,
    MemorySettings,
    ModelSettings,
    RetrievalSettings,
    TestGroup,
)
from vivavoce.domain.flow import Dtmf
from vivavoce.project.source import Faults

KNOWN = frozenset(
    [
        "ragdoll",
        "prompts",
        "llm",
        "conversation_control",
        "filler_utterances",
        "language_switching",
        "memory",
        "handoff_api",
        "webchat",
        "dtmf",
        "asr",
        "vad",
        "eot",
        "smart_vad",
        "barge_in",
        "audio_enhancement",
        "tts_postprocessing",
        "backchannelling",
        "background_track",
        "realtime",
        "csat_sms",
        "email",
        "agentic_dial",
        "webhooks",
        "verified_context",
        "polywhirl_rollout",
        "polyff",
        "ab",
    ]
)
# What has no effect here, and why; every key that a folder gives is told of by name.
ENGINES = "it tunes an engine of the platform; here the server's settings choose the engines"
NO_EFFECT = {
    "vad": ENGINES, "eot": ENGINES, "smart_vad": ENGINES, "audio_enhancement": ENGINES, "tts_postprocessing": ENGINES,
    "realtime": ENGINES, "asr.provider": ENGINES, "asr.model": ENGINES, "asr.use_asr_lib": ENGINES, "asr.eager_final": ENGINES,
    "asr.flow_overrides": ENGINES, "asr.language_overrides": ENGINES,
    "backchannelling": "calls have no agent that says mm-hm",
    "background_track": "calls have no background sounds",
    "agentic_dial": "calls are not placed by agents yet",
    "csat_sms": "surveys by text message belong to the platform; conv.goto_csat_flow enters a flow of your own",
    "email": "whether e-mail is sent is a setting of the server, VIVAVOCE_SMTP",
    "webhooks": "deployments are told of by the server, not by the folder",
    "verified_context": "it is part of the platform's web chat",
    "polywhirl_rollout": "it chooses a model of the platform",
    "polyff": "it chooses a model of the platform",
    "ragdoll.soft_threshold": "topics are within the threshold or they are not",
    "ragdoll.feature_flags": "it chooses a search engine of the platform",
    "llm.mcp_servers": "tools of MCP servers are not offered to the model yet",
    "conversation_control.min_chunk_size": "speech begins with the first sentence",
    "conversation_control.enhanced_tts_preprocessing_enabled": ENGINES,
}  # fmt: skip
# What the known tables may hold; anything else in them is told of.
FIELDS = {
    "ragdoll": ("threshold", "top_k", "in_flow_threshold", "qa_metric_threshold", "history_len", "previous_user_inputs_len",
                "soft_threshold", "channel_topic_exclusions", "qa_metric_exclusions", "feature_flags"),
    "llm": ("provider_model_id", "inference_parameters", "include_kb_functions_in_flows", "safety", "mcp_servers",
            "variant_overrides", "flow_overrides", "channel_overrides"),
    "conversation_control": ("max_silence_count", "hangup_utterance", "silence_timeout", "min_chunk_size",
                             "enhanced_tts_preprocessing_enabled", "channel_overrides"),
    "filler_utterances": ("is_enabled", "interval_sec", "initial_interval_sec", "utterances", "randomize"),
    "language_switching": ("explicit_only",),
    "memory": ("identifier_source", "repeat_caller"),
    "handoff_api": ("state_keys", "aliases", "shared_id_state_key"),
    "webchat": ("llm_wrapped_utterances",),
    "dtmf": ("global", "flow_overrides"),
    "asr": ("initial_timeout", "provider", "model", "use_asr_lib", "eager_final", "flow_overrides", "language_overrides"),
    "barge_in": ("is_enabled",),
    "ab": ("is_enabled", "test_groups"),
}  # fmt: skip
PROMPTS = frozenset(
    [
        "silence", "function_not_found", "context_information_precursor", "context_information", "non_english_system",
        "non_english_rag", "step_header", "step_footer", "webchat_decorator", "sms_decorator", "rcs_decorator",
        "whatsapp_decorator", "voice_decorator", "language_switching_instructions",
    ]
)  # fmt: skip
_IDENTIFIER = re.compile(r"(sip_headers|integration_attributes|state):\S+")
PLACEHOLDERS = {
    "context_information": "{topics_prompt}",
    "non_english_system": "{language_name}",
    "non_english_rag": "{language_name}",
    "language_switching_instructions": "{available_languages}",
}


class _Reader:
    """Typed values out of plain JSON; each thing of a wrong type is one fault with the line of its key."""

    def __init__(self, path: str, content: bytes, faults: Faults) -> None:
        self.path = path
        self.lines = content.decode("utf-8", "replace").split("\n")
        self.faults = faults
        self.is_sound = True
        self._places: dict[int, str] = {}  # of the tables that were opened

    def fault(self, key: str, message: str) -> None:
        self.is_sound = False
        self.faults.error(self.path, self.line_of(key), "wrong-type", message)

    def place(self, source: dict[str, Any], key: str) -> str:
        """The dotted way to a key of a table that was opened here."""
        above = self._places.get(id(source), "")
        return f"{above}.{key}" if above else key

    def line_of(self, key: str) -> int:
        """Each part of the way is looked for after the one before it."""
        at, found = 0, 1
        for part in key.split("."):
            line = next((i for i in range(at, len(self.lines)) if f'"{part}"' in self.lines[i]), None)
            if line is not None:
                at, found = line, line + 1
        return found

    def number(self, source: dict[str, Any], key: str, default: Any, *, least: float = 0, whole: bool = False) -> Any:
        value, key = source.get(key), self.place(source, key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or value < least:
            self.fault(key, f"{key} should be a {'whole ' if whole else ''}number of at least {least}, not {value!r}.")
            return default
        return value

    def text(self, source: dict[str, Any], key: str, one_of: tuple[str, ...] = ()) -> str | None:
        value, key = source.get(key), self.place(source, key)
        if value is None:
            return None
        if not isinstance(value, str) or (one_of and value not in one_of):
            self.fault(key, f"{key} should be {'one of ' + ', '.join(one_of) if one_of else 'text'}, not {value!r}.")
            return None
        return value

    def flag(self, source: dict[str, Any], key: str) -> bool | None:
        value, key = source.get(key), self.place(source, key)
        if value is not None and not isinstance(value, bool):
            self.fault(key, f"{key} should be true or false, not {value!r}.")
            return None
        return value

    def table(self, source: dict[str, Any], key: str) -> dict[str, Any]:
        value, key = source.get(key), self.place(source, key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fault(key, f"{key} should be an object.")
            return {}
        self._places[id(value)] = key
        return value

    def only(self, source: dict[str, Any], fields: tuple[str, ...]) -> None:
        """Warns of keys that are not of the format."""
        for key in source:
            if key not in fields:
                way = self.place(source, key)
                self.faults.warn(
                    self.path, self.line_of(way), "unknown-key", f"{way} is not part of the format and is ignored."
                )

    def texts(self, source: dict[str, Any], key: str) -> tuple[str, ...]:
        value, key = source.get(key) or (), self.place(source, key)
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            self.fault(key, f"{key} should be a list of texts.")
            return ()
        return tuple(value)


def experimental(path: str, raw: dict[str, Any], content: bytes, faults: Faults) -> Experimental:
    """A configuration with any fault is ignored as a whole, as on the platform; the faults say why."""
    read = _Reader(path, content, faults)
    for key in raw:
        if key not in KNOWN:
            read.fault(key, f"{key!r} is not a key of the experimental configuration.")
    for name, reason in NO_EFFECT.items():
        table, _, key = name.partition(".")
        found = (
            raw.get(table, {}).get(key) if key and isinstance(raw.get(table), dict) else None if key else raw.get(table)
        )
        if found not in (None, {}, []):
            faults.warn(path, read.line_of(name), "no-effect", f"{name} has no effect: {reason}.")
    for name, fields in FIELDS.items():
        read.only(read.table(raw, name), fields)
    ragdoll = read.table(raw, "ragdoll")
    defaults = RetrievalSettings()
    retrieval = RetrievalSettings(
        threshold=read.number(ragdoll, "threshold", defaults.threshold),
        in_flow_threshold=read.number(ragdoll, "in_flow_threshold", defaults.in_flow_threshold),
        citation_threshold=read.number(ragdoll, "qa_metric_threshold", defaults.citation_threshold),
        top_k=read.number(ragdoll, "top_k", defaults.top_k, whole=True),
        history_length=read.number(ragdoll, "history_len", defaults.history_length, whole=True),
        previous_inputs=read.number(ragdoll, "previous_user_inputs_len", defaults.previous_inputs, whole=True),
        channel_exclusions={
            channel: tuple(map(str, names))
            for channel, names in read.table(ragdoll, "channel_topic_exclusions").items()
            if isinstance(names, list)
        },
        citation_exclusions=read.texts(ragdoll, "qa_metric_exclusions"),
    )
    prompts = {}
    for key, text in read.table(raw, "prompts").items():
        if key not in PROMPTS:
            faults.warn(
                path, read.line_of(key), "unknown-key", f"prompts.{key} is not part of the format and is ignored."
            )
        elif not isinstance(text, str):
            read.fault(key, f"prompts.{key} should be text.")
        elif PLACEHOLDERS.get(key, "") not in text:
            read.fault(key, f"prompts.{key} must contain {PLACEHOLDERS[key]}.")
        else:
            prompts[key] = text
    control = read.table(raw, "conversation_control")
    found = Experimental(
        retrieval=retrieval,
        prompts=prompts,
        model=_model(read, read.table(raw, "llm")),
        max_silence_count=read.number(control, "max_silence_count", 3, least=1, whole=True),
        hangup_utterance=_by_language(read, control, "hangup_utterance"),
        fillers=_fillers(read, read.table(raw, "filler_utterances")),
        switches_on_request_only=bool(read.flag(read.table(raw, "language_switching"), "explicit_only")),
        filters_input=_filters_input(read, raw),
        wraps_utterances=bool(read.flag(read.table(raw, "webchat"), "llm_wrapped_utterances")),
        handoff_api=_handoff_api(read, read.table(raw, "handoff_api")),
        memory=_memory(read, raw),
        disclaimers=_disclaimers(read, read.table(control, "channel_overrides")),
        calls=_calls(read, raw, control),
    )
    if not read.is_sound:
        faults.warn(path, 1, "ignored", "The experimental configuration has faults and is ignored as a whole.")
        return Experimental()
    return found


def _fillers(read: _Reader, source: dict[str, Any]) -> Fillers | None:
    if not read.flag(source, "is_enabled"):
        return None
    interval = read.number(source, "interval_sec", 3.0)
    given = source.get("utterances")
    by_language = given if isinstance(given, dict) else {"": given} if given is not None else {}
    texts: dict[str, tuple[str, ...]] = {}
    for language, lines in by_language.items():
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            read.fault(
                "utterances", "filler_utterances.utterances should be a list of texts, or one for each language."
            )
        else:
            texts[language] = tuple(lines)
    return Fillers(
        texts=texts,
        first_after=read.number(source, "initial_interval_sec", interval),
        interval=interval,
        is_random=bool(read.flag(source, "randomize")),
    )


def _filters_input(read: _Reader, raw: dict[str, Any]) -> bool:
    filters = read.table(read.table(read.table(raw, "llm"), "safety"), "content_filters")
    return read.flag(read.table(filters, "user_input"), "is_enabled") is not False


def _handoff_api(read: _Reader, source: dict[str, Any]) -> HandoffApi:
    aliases = read.table(source, "aliases")
    if not all(isinstance(name, str) for name in aliases.values()):
        read.fault("aliases", "handoff_api.aliases should be an object of state key to public name.")
        aliases = {}
    return HandoffApi(
        state_keys=read.texts(source, "state_keys"),
        aliases=aliases,
        shared_id_key=read.text(source, "shared_id_state_key") or "shared_id",
    )


def _memory(read: _Reader, raw: dict[str, Any]) -> MemorySettings | None:
    if "memory" not in raw:
        return None
    source = read.table(raw, "memory")
    repeat = read.table(source, "repeat_caller")
    read.only(repeat, ("state_keys", "identifier_blacklist", "analytics_enabled"))
    identifier = read.text(source, "identifier_source") or ""
    if identifier and not _IDENTIFIER.fullmatch(identifier):
        read.fault(
            "identifier_source",
            f"memory.identifier_source is {identifier!r}; it should be sip_headers:, integration_attributes: or state:, "
            "with the name of a key.",
        )
    return MemorySettings(
        identifier_source=identifier,
        state_keys=read.texts(repeat, "state_keys"),
        identifier_blacklist=read.texts(repeat, "identifier_blacklist"),
        has_analytics=bool(read.flag(repeat, "analytics_enabled")),
    )


def _calls(read: _Reader, raw: dict[str, Any], control: dict[str, Any]) -> CallSettings:
    asr, dtmf = read.table(raw, "asr"), read.table(raw, "dtmf")
    common = read.table(dtmf, "global")
    read.only(common, ("is_enabled", "max_digits", "end_key", "collect_while_agent_speaking"))
    has_keys = read.flag(common, "is_enabled")
    without_speech: dict[str, tuple[str, ...]] = {}
    first_key: dict[str, dict[str, float]] = {}
    flows = read.table(dtmf, "flow_overrides")
    for flow in flows:
        override = read.table(flows, flow)
        steps = read.table(override, "steps")
        silent = [""] if read.flag(override, "disable_speech") else []
        for step in steps:
            of_step = read.table(steps, step)
            if read.flag(of_step, "disable_speech"):
                silent.append(step)
            seconds = read.number(of_step, "first_digit_timeout", None, least=1)
            if seconds is not None:
                first_key.setdefault(flow, {})[step] = float(seconds)
        if silent:
            without_speech[flow] = tuple(silent)
    return CallSettings(
        silence_seconds=read.number(asr, "initial_timeout", read.number(control, "silence_timeout", None)),
        barge_in=read.flag(read.table(raw, "barge_in"), "is_enabled"),
        keys=Dtmf(
            max_digits=read.number(common, "max_digits", 0, whole=True),
            end_key=read.text(common, "end_key") or "#",
            collect_while_agent_speaking=bool(read.flag(common, "collect_while_agent_speaking")),
        )
        if has_keys
        else None,
        has_no_keys=has_keys is False,
        without_speech=without_speech,
        first_key_seconds=first_key,
    )


def _disclaimers(read: _Reader, channels: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for channel in channels:
        message = read.table(read.table(channels, channel), "disclaimer_message")
        if message:
            found[channel] = read.text(message, "message") if read.flag(message, "is_enabled") else None
    return found


def groups(path: str, raw: dict[str, Any], content: bytes, faults: Faults) -> tuple[TestGroup, ...]:
    """The groups of an experiment, each with the whole configuration as it is for them."""
    read = _Reader(path, content, faults)
    source = read.table(raw, "ab")
    if not read.flag(source, "is_enabled"):
        return ()
    found: list[TestGroup] = []
    given = source.get("test_groups")
    if not isinstance(given, list) or not all(isinstance(group, dict) for group in given):
        read.fault("test_groups", "ab.test_groups should be a list of objects.")
        return ()
    for group in given:
        read.only(group, ("group_name", "percent", "test_config"))
        name = read.text(group, "group_name") or ""
        percent = read.number(group, "percent", 0)
        if not name or name in {g.name for g in found}:
            read.fault("group_name", f"Each group of ab.test_groups needs a group_name of its own, not {name!r}.")
            continue
        merged = _merged({key: value for key, value in raw.items() if key != "ab"}, read.table(group, "test_config"))
        found.append(TestGroup(name=name, percent=percent, experimental=experimental(path, merged, content, faults)))
    if sum(group.percent for group in found) > 100:
        read.fault("percent", "The groups of ab.test_groups have more than 100 percent together.")
        return ()
    return tuple(found)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, tables merged, everything else replaced."""
    return {
        **base,
        **{
            key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
            for key, value in over.items()
        },
    }


def _by_language(read: _Reader, source: dict[str, Any], key: str) -> dict[str, str]:
    value = source.get(key)
    if value is None:
        return {}
    if isinstance(value, str):
        return {"": value}
    if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
        return dict(value)
    read.fault(key, f"{key} should be text, or an object of language to text.")
    return {}


def _override(read: _Reader, source: dict[str, Any]) -> InferenceOverride:
    parameters = read.table(source, "inference_parameters")
    return InferenceOverride(
        model=read.text(source, "provider_model_id"),
        max_tokens=read.number(parameters, "max_tokens", None, least=1, whole=True),
        temperature=read.number(parameters, "temperature", None),
        top_p=read.number(parameters, "top_p", None),
        verbosity=read.text(parameters, "verbosity", ("low", "medium", "high")),
        reasoning_effort=read.text(parameters, "reasoning_effort", ("minimal", "low", "medium", "high", "auto")),
        topic_functions_in_flows=read.flag(source, "include_kb_functions_in_flows"),
    )


def _model(read: _Reader, source: dict[str, Any]) -> ModelSettings:
    if sum(key in source for key in ("variant_overrides", "flow_overrides", "channel_overrides")) > 1:
        read.fault("llm", "llm may have one of variant_overrides, flow_overrides and channel_overrides, not several.")
    flows = read.table(source, "flow_overrides")
    return ModelSettings(
        base=_override(read, source),
        by_flow={name: _override(read, read.table(flows, name)) for name in flows},
        by_step={
            name: {
                step: _override(read, value)
                for step, value in read.table(read.table(flows, name), "steps").items()
                if isinstance(value, dict)
            }
            for name in flows
        },
        by_channel=_named_overrides(read, source, "channel_overrides"),
        by_variant=_named_overrides(read, source, "variant_overrides"),
    )


def _named_overrides(read: _Reader, source: dict[str, Any], key: str) -> dict[str, InferenceOverride]:
    table = read.table(source, key)
    return {re.sub(r"\s+$", "", name): _override(read, read.table(table, name)) for name in table}
