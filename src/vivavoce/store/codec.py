"""The stored form of turns and snapshots, which is not their domain form.

A turn is two rows' worth: what was said, which lists and searches read, and how it came to be. Author text is kept once,
by content hash; a model request refers to it, and to the conversation's own messages by count.
Every row carries a version; `UPCASTERS` lift old rows, which stay readable for ever.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from vivavoce.domain.conversation import (
    BY_HAND,
    Closing,
    Inference,
    Message,
    Metric,
    ModelExchange,
    ModelReply,
    ModelRequest,
    Notice,
    PersonalSpan,
    Place,
    Rendered,
    RetrievedTopic,
    Snapshot,
    SourcePassage,
    StepPrompt,
    SystemPart,
    Tool,
    Turn,
)
from vivavoce.domain.record import Transcript, TranscriptTurn

VERSION = 2
INLINE_BYTES = 52  # of JSON
UPCASTERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda row: {**row, "v": 2},  # the transcript stood in the turn itself, where it may still be
}  # version -> to the next one
MAX_INTERNED = 8192


class _Texts:
    """Hashes of author text. The same tuple object comes again and again, so its hash is worked out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[Any, ...], str, bytes]] = {}

    def reference(self, value: tuple[Any, ...], fresh: dict[str, bytes]) -> str:
        """The content hash of `value`; its encoded form joins `fresh`, which the store writes if it is new.

        "" for text so short that it costs less than a reference to it.
        """
        entry = self._known.get(id(value))
        if entry is None or entry[0] is not value:
            body = msgspec.json.encode(value)
            hash_ = hashlib.sha256(body).hexdigest()[:32] if len(body) > INLINE_BYTES else ""
            entry = (value, hash_, body)
            if len(self._known) >= MAX_INTERNED:
                self._known.clear()
            self._known[id(value)] = entry
        if entry[1]:
            fresh[entry[1]] = entry[2]
        return entry[1]


_texts = _Texts()


class _Text(Struct, frozen=True, array_like=True):
    """Rendered text: its literals in place, or by hash; then the values."""

    literals: tuple[str, ...] | str
    values: tuple[str, ...] = ()


class _Topic(Struct, frozen=True, array_like=True):
    name: str
    distance: float
    content: _Text
    actions: _Text
    examples: tuple[str, ...] | str  # the example queries, or their hash
    functions: tuple[str, ...]
    is_retained: bool


class _Passage(Struct, frozen=True, array_like=True):
    source: str
    start: int
    end: int
    distance: float
    text: _Text


class _Step(Struct, frozen=True, array_like=True):
    flow: str
    step: str
    header: _Text
    text: _Text
    footer: _Text
    functions: tuple[str, ...]


class _Exchange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    purpose: str
    system: list[tuple[str, _Text]] = []
    topics: list[_Topic] = []
    passages: list[_Passage] = []
    context: tuple[str, _Text] | None = None
    step: _Step | None = None
    history: int | None = None  # so many of the conversation's messages
    messages: tuple[Message, ...] = ()  # or these
    tools: tuple[Tool, ...] | str = ()  # the tools, or their hash
    inference: Inference = Inference()
    model: str | None = None
    language: str = ""
    now: datetime | None = None
    seed: int = 0
    reply: ModelReply | None = None
    error: str | None = None
    delivered: str = ""
    started_at: datetime
    finished_at: datetime
    first_text_at: datetime | None = None
    place: Place = Place()
    place_after: Place = Place()


class _Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    v: int
    turn: Turn
    exchanges: list[_Exchange] = []


class _ClosingRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    v: int
    closing: Closing
    exchanges: list[_Exchange] = []


class _SnapshotRow(Struct, frozen=True, kw_only=True):
    v: int
    snapshot: Snapshot


_encode = msgspec.json.Encoder().encode
# Decoders are made here, once: rows are read in several threads, and msgspec (0.22) crashes the process when two of them
# ask for the same type for the first time at once.
_turn_row = msgspec.json.Decoder(_Row).decode
_closing_row = msgspec.json.Decoder(_ClosingRow).decode
_snapshot_row = msgspec.json.Decoder(_SnapshotRow).decode
_snapshot_parts = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes]).decode
_raw_values = msgspec.json.Decoder(dict[str, Raw]).decode
_values = msgspec.json.Decoder(dict[str, Any]).decode
_strings = msgspec.json.Decoder(tuple[str, ...]).decode
_tools = msgspec.json.Decoder(tuple[Tool, ...]).decode
decode_said = msgspec.json.Decoder(TranscriptTurn).decode


def encode_turn(turn: Turn) -> tuple[bytes, bytes, dict[str, bytes]]:
    """(what was said, how it came to be, the author texts that it refers to by hash)."""
    fresh: dict[str, bytes] = {}
    exchanges = [_pack(exchange, fresh) for exchange in turn.exchanges]
    said, body = encode_row(Row(turn, exchanges))
    return said, body, fresh


def encode_row(row: Row) -> tuple[bytes, bytes]:
    turn = row.turn
    rest = replace(
        turn,
        input=replace(turn.input, text="", dtmf=""),
        corrected=None,
        reply="",
        asr_language="",
        tts_language="",
        is_input_withheld=False,
        metrics=(),
        personal=None,
        personal_by="",
        exchanges=(),
    )
    return _encode(transcript(turn)), _encode(_Row(v=VERSION, turn=rest, exchanges=row.exchanges))


def transcript(turn: Turn) -> TranscriptTurn:
    return TranscriptTurn(
        index=turn.index,
        started_at=turn.started_at,
        finished_at=turn.finished_at,
        text=turn.input.text,
        dtmf=turn.input.dtmf,
        corrected=turn.corrected,
        reply=turn.reply,
        asr_language=turn.asr_language,
        tts_language=turn.tts_language,
        is_out_of_domain=turn.is_out_of_domain,
        is_withheld=turn.is_input_withheld,
        metrics=turn.metrics,
        personal=turn.personal,
        personal_by=turn.personal_by,
        perceived=turn.played.perceived if turn.played is not None else None,
        is_barge_in=turn.input.spoken is not None and turn.input.spoken.is_barge_in,
        is_secret=turn.input.spoken is not None and turn.input.spoken.is_secret,
    )


def encode_closing(closing: Closing) -> tuple[bytes, dict[str, bytes]]:
    fresh: dict[str, bytes] = {}
    exchanges = [_pack(exchange, fresh) for exchange in closing.exchanges]
    return _encode(_ClosingRow(v=VERSION, closing=replace(closing, exchanges=()), exchanges=exchanges)), fresh


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The body, the pickle of the state and its JSON view, side by side: a pickle in JSON would cost a third more."""
    body = _encode(_SnapshotRow(v=VERSION, snapshot=replace(snapshot, state=b"", view={})))
    return msgspec.msgpack.encode((body, snapshot.state, _encode(snapshot.view)))


def decode_snapshot(packed: bytes) -> Snapshot:
    return snapshot_of(*_snapshot_parts(packed))


def decode_state(packed: bytes) -> dict[str, Any]:
    """The state of a snapshot as JSON; its pickle is not looked at."""
    return _values(_snapshot_parts(packed)[2])


def snapshot_of(body: bytes, state: bytes, view: bytes) -> Snapshot:
    row = _snapshot_row(_lifted(body))
    return replace(row.snapshot, state=state, view=_raw_values(view))


class Row(Struct, frozen=True):
    """A decoded row whose texts are still references."""

    turn: Turn
    exchanges: list[_Exchange]


def decode_turn(said: bytes | None, body: bytes) -> Row:
    """`said` None is a row of the first version, whose turn holds everything."""
    row = _turn_row(_lifted(body))
    if said is None:
        return Row(row.turn, row.exchanges)
    spoken = decode_said(said)
    turn = replace(
        row.turn,
        input=replace(row.turn.input, text=spoken.text, dtmf=spoken.dtmf),
        corrected=spoken.corrected,
        reply=spoken.reply,
        asr_language=spoken.asr_language,
        tts_language=spoken.tts_language,
        is_input_withheld=spoken.is_withheld,
        metrics=spoken.metrics,
        personal=spoken.personal,
        personal_by=spoken.personal_by,
    )
    return Row(turn, row.exchanges)


def decided(said: TranscriptTurn, personal: Sequence[PersonalSpan], by: str) -> TranscriptTurn:
    """With another decision about what is personal in it; what was hidden by hand stays."""
    kept = [span for span in said.personal or () if span.category == BY_HAND and span not in personal]
    return replace(said, personal=(*personal, *kept), personal_by=by)


def hidden(said: TranscriptTurn, change: Callable[[Sequence[PersonalSpan]], Sequence[PersonalSpan]]) -> TranscriptTurn:
    """With what is hidden by hand changed. A turn that nobody has looked at is withheld whole, and stays so."""
    if said.personal is None:
        return said
    rest = [span for span in said.personal if span.category != BY_HAND]
    own = [span for span in said.personal if span.category == BY_HAND]
    return replace(said, personal=(*rest, *dict.fromkeys(change(own))))


def amended(said: bytes | None, body: bytes, change: Callable[[Turn], Turn]) -> tuple[bytes, bytes]:
    """A row whose turn is changed; its model exchanges stay as they are."""
    row = decode_turn(said, body)
    return encode_row(Row(change(row.turn), row.exchanges))


def decode_closing(body: bytes, text: Mapping[str, bytes]) -> Closing:
    row = _closing_row(_lifted(body))
    return replace(row.closing, exchanges=tuple(_unpack(e, text, []) for e in row.exchanges))


class _ClosingPart(Struct, frozen=True):
    metrics: tuple[Metric, ...] = ()
    view: dict[str, Raw] | None = None


class _ClosingRowPart(Struct, frozen=True):
    closing: _ClosingPart


_decode_closing_part = msgspec.json.Decoder(_ClosingRowPart).decode


def stripped(row: Row) -> Row:
    """A turn of which only what was said, when, and by what is kept."""
    turn = row.turn
    kept = Turn(
        index=turn.index,
        started_at=turn.started_at,
        finished_at=turn.finished_at,
        input=replace(turn.input, metadata=None),
        played=turn.played,
        unplayed=turn.unplayed,
        corrected=turn.corrected,
        reply=turn.reply,
        place=turn.place,
        place_after=turn.place_after,
        asr_language=turn.asr_language,
        tts_language=turn.tts_language,
        variant=turn.variant,
        metrics=turn.metrics,
        personal=turn.personal,
        personal_by=turn.personal_by,
        end_reason=turn.end_reason,
        timings=turn.timings,
        tree=turn.tree,
        is_input_withheld=turn.is_input_withheld,
        is_interrupted=turn.is_interrupted,
        notices=(Notice(code="DETAILS_EXPIRED", message="How this turn came to be was kept for a time only."),),
    )
    return Row(kept, [])


def stripped_closing(body: bytes) -> bytes:
    row = _closing_row(_lifted(body))
    return _encode(_ClosingRow(v=VERSION, closing=Closing(metrics=row.closing.metrics)))


def decode_transcript(said: Iterable[bytes], snapshot: bytes | None, closing: bytes | None) -> Transcript:
    """The transcript of a conversation out of its rows, without decoding how it came to be."""
    turns = [decode_said(body) for body in said]
    state = _raw_values(_snapshot_parts(snapshot)[2]) if snapshot is not None else {}
    if closing is None:
        return Transcript(turns=turns, state=state)
    after = _decode_closing_part(closing).closing
    return Transcript(turns=turns, closing_metrics=after.metrics, state={**state, **(after.view or {})})


def closing_references(body: bytes) -> set[str]:
    return _references(_closing_row(_lifted(body)).exchanges)


def references(rows: Sequence[Row]) -> set[str]:
    """Every text hash that these rows need before `expand`."""
    return _references([exchange for row in rows for exchange in row.exchanges])


def expand(rows: Sequence[Row], text: Mapping[str, bytes], earlier: Sequence[Message] | None = ()) -> list[Turn]:
    """Whole turns again. `earlier` are the messages of the turns before the first row; None leaves histories out."""
    messages = list(earlier or ())
    turns = []
    for row in rows:
        if earlier is not None:
            messages.extend(row.turn.messages)
        turns.append(replace(row.turn, exchanges=tuple(_unpack(e, text, messages) for e in row.exchanges)))
    return turns


def compress(text: bytes) -> bytes:
    return zlib.compress(text, 6)


def decompress(blob: bytes) -> bytes:
    return zlib.decompress(blob)


class _Version(Struct, frozen=True):
    v: int


_version = msgspec.json.Decoder(_Version).decode


def _lifted(body: bytes) -> bytes:
    """The row as this version writes it."""
    version = _version(body).v
    if version == VERSION:
        return body
    row: dict[str, Any] = msgspec.json.decode(body)
    while version < VERSION:
        row = UPCASTERS[version](row)
        version = row["v"]
    return _encode(row)


def _pack_text(rendered: Rendered, fresh: dict[str, bytes]) -> _Text:
    literals = rendered.literals
    return _Text(_texts.reference(literals, fresh) or literals, rendered.values)


def _pack(exchange: ModelExchange, fresh: dict[str, bytes]) -> _Exchange:
    request = exchange.request
    is_turn = exchange.purpose == "turn"
    step = request.step
    return _Exchange(
        id=exchange.id,
        purpose=exchange.purpose,
        system=[(part.title, _pack_text(part.content, fresh)) for part in request.system],
        topics=[
            _Topic(
                topic.name,
                topic.distance,
                _pack_text(topic.content, fresh),
                _pack_text(topic.actions, fresh),
                _texts.reference(topic.example_queries, fresh) or topic.example_queries,
                topic.functions,
                topic.is_retained,
            )
            for topic in request.topics
        ],
        passages=[_Passage(p.source, p.start, p.end, p.distance, _pack_text(p.text, fresh)) for p in request.passages],
        context=(request.context.title, _pack_text(request.context.content, fresh)) if request.context else None,
        step=_Step(
            step.flow,
            step.step,
            _pack_text(step.header, fresh),
            _pack_text(step.text, fresh),
            _pack_text(step.footer, fresh),
            step.functions,
        )
        if step
        else None,
        history=len(request.history) if is_turn else None,
        messages=() if is_turn else request.history,
        tools=_texts.reference(request.tools, fresh) or request.tools,
        inference=request.inference,
        model=request.model,
        language=request.language,
        now=request.now,
        seed=request.seed,
        reply=exchange.reply,
        error=exchange.error,
        delivered=exchange.delivered,
        started_at=exchange.started_at,
        finished_at=exchange.finished_at,
        first_text_at=exchange.first_text_at,
        place=exchange.place,
        place_after=exchange.place_after,
    )


def _references(exchanges: Sequence[_Exchange]) -> set[str]:
    found: set[str] = set()
    for exchange in exchanges:
        texts = [text for _, text in exchange.system]
        texts += [text for topic in exchange.topics for text in (topic.content, topic.actions)]
        texts += [passage.text for passage in exchange.passages]
        if exchange.context:
            texts.append(exchange.context[1])
        if exchange.step:
            texts += [exchange.step.header, exchange.step.text, exchange.step.footer]
        found.update(text.literals for text in texts if isinstance(text.literals, str))
        found.update(topic.examples for topic in exchange.topics if isinstance(topic.examples, str))
        if isinstance(exchange.tools, str):
            found.add(exchange.tools)
    return found


def _unpack_text(packed: _Text, text: Mapping[str, bytes]) -> Rendered:
    literals = packed.literals
    if isinstance(literals, str):
        literals = _strings(text[literals])
    return Rendered.of(literals, packed.values)


def _unpack_topic(stored: _Topic, text: Mapping[str, bytes]) -> RetrievedTopic:
    examples = stored.examples
    if isinstance(examples, str):
        examples = _strings(text[examples])
    return RetrievedTopic(
        name=stored.name,
        distance=stored.distance,
        content=_unpack_text(stored.content, text),
        actions=_unpack_text(stored.actions, text),
        example_queries=examples,
        functions=stored.functions,
        is_retained=stored.is_retained,
    )


def _unpack(stored: _Exchange, text: Mapping[str, bytes], messages: Sequence[Message]) -> ModelExchange:
    tools = stored.tools
    if isinstance(tools, str):
        tools = _tools(text[tools])
    request = ModelRequest(
        system=tuple(SystemPart(title=title, content=_unpack_text(packed, text)) for title, packed in stored.system),
        topics=tuple(_unpack_topic(topic, text) for topic in stored.topics),
        passages=tuple(
            SourcePassage(
                source=p.source, start=p.start, end=p.end, distance=p.distance, text=_unpack_text(p.text, text)
            )
            for p in stored.passages
        ),
        context=SystemPart(title=stored.context[0], content=_unpack_text(stored.context[1], text))
        if stored.context
        else None,
        step=StepPrompt(
            flow=stored.step.flow,
            step=stored.step.step,
            header=_unpack_text(stored.step.header, text),
            text=_unpack_text(stored.step.text, text),
            footer=_unpack_text(stored.step.footer, text),
            functions=stored.step.functions,
        )
        if stored.step
        else None,
        history=stored.messages if stored.history is None else tuple(messages[: stored.history]),
        tools=tools,
        inference=stored.inference,
        model=stored.model,
        language=stored.language,
        now=stored.now,
        seed=stored.seed,
    )
    return ModelExchange(
        id=stored.id,
        purpose="turn" if stored.purpose == "turn" else "function",
        request=request,
        reply=stored.reply,
        error=stored.error,
        delivered=stored.delivered,
        started_at=stored.started_at,
        finished_at=stored.finished_at,
        first_text_at=stored.first_text_at,
        place=stored.place,
        place_after=stored.place_after,
    )
