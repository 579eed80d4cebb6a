"""How a call listens after a turn, and in which voice it speaks: what the folder, the step and author code say. Pure."""

from __future__ import annotations

import random
from typing import Any

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import HandoffRequest, Snapshot, Turn
from vivavoce.domain.flow import AsrBiasing, Dtmf, PromptStep, StepSettings, Vad
from vivavoce.speech.interface import Hints, Voice
from vivavoce.voice import barge_in, dtmf, endpointing
from vivavoce.voice.conduct import Manner, Transfer

SILENCE_SECONDS = 7.0
LEAST_SILENCE, MOST_SILENCE = 0.1, 120.0
BETWEEN_KEYS_SECONDS = 2.0
LEVELS = {"default": 1.0, "boosted": 2.0, "maximum": 3.0}
MOST_PHRASES = 200


def manner_after(agent: Agent, turn: Turn, snapshot: Snapshot, language: str) -> Manner:
    """The step beats the flow, which beats the agent; what a function returned beats them all, for one turn."""
    settings = _step_settings(agent, turn)
    listen = turn.listen or {}
    biasing = settings.asr_biasing or AsrBiasing()
    may_interrupt = _may_interrupt(agent, settings, _table(listen, "barge_in"), is_greeting=turn.index == 0)
    return Manner(
        endpointing=_endpointing(agent, biasing, settings.vad or Vad()),
        barge_in=barge_in.Settings(is_enabled=may_interrupt, most=agent.speech.most_interruptions),
        keys=_keys(agent, settings, listen, may_interrupt=may_interrupt),
        hears_speech=_hears_speech(agent, turn, listen),
        silence_seconds=_silence(agent, turn, listen),
        hints=Hints(
            language=language,
            phrases=_phrases(agent, biasing, snapshot, _table(listen, "asr")),
            kinds=biasing.kinds,
            model=settings.asr.model if settings.asr is not None else "",
            provider=settings.asr.provider if settings.asr is not None else "",
        ),
        is_recording=not _flag(snapshot, "stop_recording"),
    )


def _step_settings(agent: Agent, turn: Turn) -> StepSettings:
    place = turn.place_after
    flow = agent.flows.get(place.flow or "")
    step = flow.steps.get(place.step or "") if flow is not None else None
    return step.settings if isinstance(step, PromptStep) else StepSettings()


def _endpointing(agent: Agent, biasing: AsrBiasing, vad: Vad) -> endpointing.Settings:
    defaults = endpointing.Settings()
    ends_after = (
        vad.end or agent.speech.ends_after or endpointing.ends_after(agent.speech.interaction_style, biasing.kinds)
    )
    speech = _share(vad.speech_threshold, defaults.speech)
    return endpointing.Settings(
        begins_after=min(1.0, vad.start) if vad.start is not None else defaults.begins_after,
        pauses_after=min(defaults.pauses_after, ends_after),
        ends_after=min(5.0, ends_after),
        speech=speech,
        silence=min(speech, _share(vad.silence_threshold, defaults.silence)),
    )


def _share(given: float | None, default: float) -> float:
    return given if given is not None and 0 < given < 1 else default


def _may_interrupt(agent: Agent, settings: StepSettings, listen: dict[str, Any], *, is_greeting: bool) -> bool:
    for given in (listen.get("is_enabled"), settings.barge_in, agent.experimental.calls.barge_in):
        if isinstance(given, bool):
            return given
    return agent.speech.barge_in and (agent.speech.may_interrupt_greeting or not is_greeting)


def _keys(agent: Agent, settings: StepSettings, listen: dict[str, Any], *, may_interrupt: bool) -> dtmf.Settings:
    """Where nobody says how, keys are taken, and interrupt an agent that speech may interrupt."""
    calls, asked = agent.experimental.calls, _table(listen, "dtmf")
    found = settings.dtmf or calls.keys
    early = found.collect_while_agent_speaking if found is not None else may_interrupt
    is_enabled = found is not None or bool(asked) or not calls.has_no_keys
    found = found or Dtmf()
    end_key = asked.get("finish_on_key", found.end_key)
    return dtmf.Settings(
        is_enabled=is_enabled and listen.get("channel") != "SPEECH",
        most=int(_number(asked, "num_digits", found.max_digits)),
        end_key=end_key if isinstance(end_key, str) and len(end_key) <= 1 else found.end_key,
        between=_number(asked, "inter_digit_timeout", found.inter_digit_timeout) or BETWEEN_KEYS_SECONDS,
        while_agent_speaks=bool(asked.get("early_listening", early)),
        is_secret=bool(asked.get("is_pii", found.is_pii)),
    )


def _hears_speech(agent: Agent, turn: Turn, listen: dict[str, Any]) -> bool:
    if listen.get("channel") == "DTMF":
        return False
    steps = agent.experimental.calls.without_speech.get(turn.place_after.flow or "", ())
    return not ("" in steps or (turn.place_after.step or "") in steps)


def _silence(agent: Agent, turn: Turn, listen: dict[str, Any]) -> float:
    calls, place = agent.experimental.calls, turn.place_after
    default = calls.silence_seconds or SILENCE_SECONDS
    default = calls.first_key_seconds.get(place.flow or "", {}).get(place.step or "", default)
    default = _number(_table(listen, "dtmf"), "first_digit_timeout", default)
    return min(MOST_SILENCE, max(LEAST_SILENCE, _number(_table(listen, "asr"), "timeout", default)))


def _phrases(
    agent: Agent, biasing: AsrBiasing, snapshot: Snapshot, listen: dict[str, Any]
) -> tuple[tuple[str, float], ...]:
    """The strongest wish for each phrase."""
    found: dict[str, float] = {k.phrase: LEVELS[k.level] for k in agent.speech.keyphrases}
    found |= dict.fromkeys(biasing.custom_keywords, 2.0)
    for asked in (snapshot.asr_biasing or {}, listen):
        found |= dict.fromkeys((k for k in _list(asked, "keywords") if isinstance(k, str)), 2.0)
        weights = _table(asked, "custom_biases")
        found |= {word: float(w) for word, w in weights.items() if isinstance(w, (int, float))}
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return tuple((phrase, weight) for phrase, weight in ordered[:MOST_PHRASES] if phrase.strip())


def voice_of(given: dict[str, Any] | None, language: str, conversation_id: str) -> Voice:
    """A voice that author code has set, or any voice of the language. Of weighted ones a conversation keeps its own."""
    if given and isinstance(given.get("weighted"), list):
        given = _chosen(given["weighted"], conversation_id)
    if not given:
        return Voice(language=language)
    config = _table(given, "config")
    id_ = given.get("provider_voice_id") or given.get("voice_id") or ""
    rest = {
        k: v for k, v in {**given, **config}.items() if k not in ("provider", "provider_voice_id", "voice_id", "config")
    }
    return Voice(language=language, provider=str(given.get("provider") or ""), id=str(id_), parameters=rest)


def _chosen(weighted: list[Any], conversation_id: str) -> dict[str, Any] | None:
    """Those without a weight share what is left of 1."""
    pairs = [(item.get("voice"), item.get("weight")) for item in weighted if isinstance(item, dict)]
    voices = [voice for voice, _ in pairs if isinstance(voice, dict)]
    weights = [
        weight if isinstance(weight, (int, float)) and weight >= 0 else None
        for voice, weight in pairs
        if isinstance(voice, dict)
    ]
    if not voices:
        return None
    open_ = weights.count(None)
    left = max(0.0, 1 - sum(w for w in weights if w is not None)) / open_ if open_ else 0.0
    shares = [left if weight is None else float(weight) for weight in weights]
    if not any(shares):
        return voices[0]
    return random.Random(conversation_id).choices(voices, shares)[0]  # noqa: S311  # which voice speaks is no secret


def transfer_of(handoff: HandoffRequest | None) -> Transfer | None:
    """To whom a handoff goes; None when it names no number: whoever carries the call only ends it then."""
    if handoff is None:
        return None
    for method in ("refer", "invite", "bye"):
        block = handoff.route.get(method)
        if not isinstance(block, dict):
            continue
        headers = _table(block, "sip_headers")
        return Transfer(
            destination=handoff.destination,
            method=method,
            number=str(block.get("phone_number") or ""),
            caller_id=str(block.get("outbound_caller_id") or ""),
            headers={str(key): str(value) for key, value in headers.items()},
        )
    return Transfer(destination=handoff.destination)


def is_discarded(turn: Turn, snapshot: Snapshot) -> bool:
    return turn.discards_recording or _flag(snapshot, "disable_recordings")


def _flag(snapshot: Snapshot, key: str) -> bool:
    """A value of the state that author code has set to something."""
    return bytes(snapshot.view.get(key, b"null")) not in (b"null", b"false", b"0", b'""')


def _table(source: dict[str, Any], key: str) -> dict[str, Any]:
    value = source.get(key)
    return value if isinstance(value, dict) else {}


def _list(source: dict[str, Any], key: str) -> list[Any]:
    value = source.get(key)
    return list(value) if isinstance(value, (list, tuple)) else []


def _number(source: dict[str, Any], key: str, default: float) -> float:
    value = source.get(key)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6
    return float(value) if is_number else default  # type: ignore[arg-type]  # just checked
