"""voice/: recognition, corrections, pronunciations and stop keywords."""

from __future__ import annotations

import regex

from vivavoce.domain.agent import Keyphrase, Pronunciation, Speech, StopKeyword, TranscriptCorrection
from vivavoce.project.source import Mapping

STYLES = ("balanced", "precise", "swift", "sonic", "turbo")
LEVELS = ("default", "boosted", "maximum")


def check_pattern(source: Mapping, key: str, pattern: str) -> bool:
    try:
        regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError, MemoryError) as error:
        source.error(key, "bad-regex", f"{pattern!r} is not a regular expression: {error}.")
        return False
    return True


def stop_keywords(source: Mapping) -> tuple[StopKeyword, ...]:
    found = []
    seen: set[str] = set()
    for item in source.mappings("phrase_filtering"):
        name = item.text("name", required=True)
        if name in seen:
            item.error("name", "duplicate", f"There is already a stop keyword named {name!r}.")
        seen.add(name)
        patterns = tuple(p for p in item.texts("regular_expressions") if check_pattern(item, "regular_expressions", p))
        if not patterns:
            item.error("regular_expressions", "missing", f"{name!r} needs at least one regular expression.")
        found.append(
            StopKeyword(
                name=name,
                patterns=patterns,
                say_phrase=item.flag("say_phrase"),
                language=item.text("language_code"),
                function=item.text("function") or None,
                description=item.text("description"),
            )
        )
        item.close()
    source.close()
    return tuple(found)


def speech(asr: Mapping, keyphrases: Mapping, corrections: Mapping, pronunciations: Mapping) -> Speech:
    interrupting = asr.mapping("barge_in") if asr.is_mapping("barge_in") else None
    most = (
        int(interrupting.number("max_per_call", 0, least=0))
        if interrupting and "max_per_call" in interrupting
        else None
    )
    ends_after = asr.number("speech_end_delay_ms", 0, least=0) / 1000
    found = Speech(
        barge_in=interrupting.flag("enabled") if interrupting is not None else asr.flag("barge_in"),
        may_interrupt_greeting=interrupting is None or interrupting.flag("allow_on_first_turn"),
        most_interruptions=most,
        ends_after=ends_after or None,
        interaction_style=asr.text("interaction_style", "balanced", one_of=STYLES),
        keyphrases=tuple(_keyphrases(keyphrases)),
        corrections=tuple(_corrections(corrections)),
        pronunciations=tuple(_pronunciations(pronunciations)),
    )
    for source in (asr, keyphrases, corrections, pronunciations):
        source.close()
    return found


def _keyphrases(source: Mapping) -> list[Keyphrase]:
    found = []
    for item in source.mappings("keyphrases"):
        level = item.text("level", "default").lower()
        if level not in LEVELS:
            item.error("level", "unknown-value", f"level is {level!r}; it should be one of {', '.join(LEVELS)}.")
            level = "default"
        found.append(Keyphrase(phrase=item.text("keyphrase", required=True), level=level))  # type: ignore[arg-type]  # checked
        item.close()
    return found


def _corrections(source: Mapping) -> list[TranscriptCorrection]:
    found = []
    for item in source.mappings("corrections"):
        name = item.text("name", required=True)
        item.text("description")
        for rule in item.mappings("regular_expressions"):
            pattern = rule.text("regular_expression", required=True)
            kind = rule.text("replacement_type", "full", one_of=("full", "partial", "substring"))
            if check_pattern(rule, "regular_expression", pattern):
                found.append(
                    TranscriptCorrection(
                        name=name, pattern=pattern, replacement=rule.text("replacement"), whole=kind == "full"
                    )
                )
            rule.text("replacement")
            rule.close()
        item.close()
    return found


def _pronunciations(source: Mapping) -> list[Pronunciation]:
    found = []
    for item in source.mappings("pronunciations"):
        pattern = item.text("regex", required=True)
        rule = Pronunciation(
            pattern=pattern,
            replacement=item.text("replacement"),
            case_sensitive=item.flag("case_sensitive"),
            language=item.text("language_code"),
        )
        if check_pattern(item, "regex", pattern):
            found.append(rule)
        item.text("description")
        item.text("name")
        item.close()
    return found
