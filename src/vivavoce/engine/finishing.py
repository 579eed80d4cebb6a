"""A draft that is done becomes the record of its turn and the snapshot after it."""

from __future__ import annotations

from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from vivavoce.domain.conversation import Metric, Snapshot, Timings, Turn
from vivavoce.engine import citation

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft


def finish(draft: Draft) -> tuple[Turn, Snapshot]:
    now = draft.ports.clock.now()
    session, before, around = draft.session, draft.session.snapshot, draft.session.surroundings
    if draft.end_reason is None and session.turns + 1 >= draft.ports.options.max_turns:
        draft.notice("turn_limit", f"The conversation reached {draft.ports.options.max_turns} turns and was ended.")
        draft.end("limit")
    cited = citation.cited(draft) if session.turns and not draft.input.is_silence else ""
    _write_own_metrics(draft, cited, now)
    exchanges = [e.record(draft.place) for e in draft.exchanges]
    draft.timings["model"] = sum((e.finished_at - e.started_at).total_seconds() for e in draft.exchanges)
    turn = Turn(
        index=session.turns,
        started_at=draft.started_at,
        finished_at=now,
        input=draft.input,
        corrected=draft.text if draft.text != draft.input.text else None,
        corrections=draft.corrections,
        reply=draft.reply,
        calls=tuple(draft.calls),
        exchanges=(*exchanges, *draft.asked),
        messages=tuple(draft.messages),
        topics=draft.found,
        sources=tuple((p.source, p.start, p.end, p.distance) for p in draft.passages),
        cited_topic=cited,
        node_trace=tuple(draft.trace),
        place=before.place,
        place_after=draft.place,
        asr_language=draft.asr_language,
        tts_language=draft.tts_language,
        variant=draft.variant,
        metrics=tuple(draft.metrics),
        handoff=draft.handoff,
        end_reason=draft.end_reason,
        is_delayed=bool((draft.listen or {}).get("delayed_response")),
        listen=draft.listen,
        stop_keywords=tuple(draft.stop_keywords),
        extractions=tuple(draft.extractions),
        safety=tuple(draft.safety),
        fillers=tuple(draft.fillers),
        is_input_withheld=draft.is_input_withheld,
        notices=tuple(draft.notices),
        voice=draft.voice,
        asr_biasing=draft.asr_biasing,
        discards_recording=draft.discards_recording,
        configuration=around.configuration if around.configuration != session.configuration else None,
        memory=msgspec.to_builtins(around.memory) if around.memory is not None and session.memory is None else None,
        events=around.events[len(session.events) :],
        timings=Timings(
            retrieval=round(draft.timings["retrieval"] * 1000, 3),
            model=round(draft.timings["model"] * 1000, 3),
            functions=round(draft.timings["functions"] * 1000, 3),
            total=round((perf_counter() - draft.began) * 1000, 3),
        ),
        seed=draft.seed,
        tree=draft.prepared.tree,
    )
    snapshot = Snapshot(
        state=draft.state,
        view=draft.view,
        place=draft.place,
        asr_language=draft.asr_language,
        tts_language=draft.tts_language,
        variant=draft.variant,
        silence_count=draft.silence_count,
        retained=draft.retained,
        disabled_topics=draft.disabled_topics,
        entities=draft.entities,
        events=draft.events,
        asr_biasing=draft.asr_biasing,
        voice=draft.voice or before.voice,
        unsynced=draft.unsynced,
    )
    return turn, snapshot


def _write_own_metrics(draft: Draft, cited: str, now: datetime) -> None:
    """QA for the topic of each answer; the handoff's two, unless the author wrote them."""
    if cited and cited not in draft.agent.experimental.retrieval.citation_exclusions:
        draft.metrics.append(Metric(name="QA", value=cited, at=now))
    if draft.handoff is not None and draft.handoff.is_transfer:
        written = {name for name, _ in draft.session.metrics} | {m.name for m in draft.metrics}
        for name, value in (("HANDOFF_TO", draft.handoff.destination), ("HANDOFF_REASON", draft.handoff.reason)):
            if name not in written and value:
                draft.metrics.append(Metric(name=name, value=value, at=now))
