"""The input of a turn: corrected, heard, in its language; or kept from the agent altogether."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.domain.conversation import Message, Metric, Utterance
from vivavoce.engine import prompt
from vivavoce.engine.corrections import correct
from vivavoce.engine.rendering import channel_family
from vivavoce.entities.languages import detect, match

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft

WITHHELD = "[What the user said was withheld by a safety filter.]"
REPEAT_CALLER_METRICS = {
    "conversation_id": "REPEAT_CALLER_CONV_ID",
    "datetime": "REPEAT_CALLER_DATETIME",
    "qa": "REPEAT_CALLER_QA",
    "handoff_reason": "REPEAT_CALLER_HANDOFF_REASON",
    "handoff_to": "REPEAT_CALLER_HANDOFF_TO",
}


def greet_again(draft: Draft) -> None:
    """Notes a caller who has called before, for those agents that count them."""
    settings, memory = draft.agent.experimental.memory, draft.session.surroundings.memory
    if settings is not None and settings.has_analytics and memory is not None and memory.first:
        for key, name in REPEAT_CALLER_METRICS.items():
            if memory.first.get(key):
                draft.metrics.append(Metric(name=name, value=memory.first[key], at=draft.started_at))


def check_language(draft: Draft) -> None:
    """Notes an opening in a language that the agent does not have."""
    languages = draft.agent.languages
    for tag in dict.fromkeys((draft.asr_language, draft.tts_language)):
        if languages.additional and tag not in languages.all:
            draft.notice("unconfigured_language", f"{tag} is not a language of this agent, which was asked for it.")


def take_in(draft: Draft) -> bool:
    """Takes the input in. True when the user has been silent too often."""
    if draft.text and draft.agent.speech.corrections and channel_family(draft.channel) == "voice":
        draft.text, draft.corrections = correct(draft.text, draft.agent.speech.corrections)
    text = draft.text or draft.input.dtmf
    draft.session.heard.hear(draft.input.text)
    draft.session.heard.hear(text)
    draft.history.append(Utterance(role="user", text=text))
    if not text:  # nothing was said, or nothing is left of it
        draft.silence_count += 1
        text = prompt.text_of(draft.agent, "silence")
    else:
        draft.silence_count = 0
    draft.messages.append(Message(role="user", content=text))
    _settle_languages(draft)
    return draft.silence_count >= draft.agent.experimental.max_silence_count


def _settle_languages(draft: Draft) -> None:
    """The languages that the message asks for, or the one that it is written in."""
    languages = draft.agent.languages
    asr, tts = draft.input.asr_language, draft.input.tts_language
    if asr or tts:
        found = [tag and ((languages.additional and match(tag, languages.all)) or tag) for tag in (asr, tts)]
        for tag in dict.fromkeys(tag for tag in found if tag and languages.additional and tag not in languages.all):
            draft.notice("unconfigured_language", f"{tag} is not a language of this agent, which was asked for it.")
        draft.set_languages(found[0] or draft.asr_language, found[1] or draft.tts_language)
    elif languages.additional and draft.text and not draft.agent.experimental.switches_on_request_only:
        current = draft.language
        detected = detect(draft.text, (current, *languages.all))
        if detected is not None and detected != current:
            draft.visit(f"language:{detected}")
            draft.set_languages(detected, detected)


def withhold_input(draft: Draft) -> None:
    """The agent does not see what the user said, now or later."""
    draft.is_input_withheld = True
    draft.history[-1] = Utterance(role="user", text="")
    draft.messages[-1] = Message(role="user", content=WITHHELD)
