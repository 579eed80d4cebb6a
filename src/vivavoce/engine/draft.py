"""A turn while it is being made: what has happened so far, and how the record of it comes to be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from vivavoce.domain.agent import Function
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import (
    Collected,
    EndReason,
    Extraction,
    FunctionCall,
    HandoffRequest,
    Interim,
    Message,
    Metric,
    ModelExchange,
    ModelRequest,
    Notice,
    OutgoingMessage,
    RetrievedTopic,
    SafetyFinding,
    SourcePassage,
    StateChanges,
    ToolCall,
    Transition,
    UserInput,
)
from vivavoce.domain.flow import PromptStep
from vivavoce.domain.surroundings import EventBook, Ledger
from vivavoce.engine import builtins, collecting, effects, flows, handing_over, masking, prompt, tools
from vivavoce.engine.asks import Asked
from vivavoce.engine.effects import Effect
from vivavoce.engine.exchange import Exchange
from vivavoce.engine.progress import TextReleased
from vivavoce.engine.rendering import Renderer, channel_family
from vivavoce.engine.session import Session
from vivavoce.functions.interface import FunctionExecutor, Outcome, View
from vivavoce.models.interface import Model
from vivavoce.outbound.interface import Outbound
from vivavoce.outbound.oauth import Tokens
from vivavoce.safety.interface import Classifier
from vivavoce.secrets.interface import Secrets

ERROR_RESULT = (
    "The function failed. Do not tell the user why; try another way, or say that it is not possible right now."
)
MAX_CONTENT_CHARACTERS = 100_000
TIME_ZONE_ATTRIBUTES = ("timezone", "time_zone")


class Options(Struct, frozen=True, kw_only=True):
    apology: str = "I'm sorry, I'm having trouble right now. Could you say that again?"
    function_timeout: float = 10.0  # seconds
    delayed_function_timeout: float = 30.0  # seconds; for functions with delay control
    safety_reply: str = "I'm sorry, I can't help with that. Is there something else I can do for you?"
    max_turns: int = 200
    api_timeout: float = 10.0  # seconds, for one call of conv.api
    time_zone: str = "UTC"  # IANA name; for agents whose variants name none


class Ports(Struct, frozen=True, kw_only=True):
    """What the engine needs from outside."""

    functions: FunctionExecutor
    model: Model
    clock: Clock
    random: Random
    secrets: Secrets
    outbound: Outbound
    tokens: Tokens
    classifier: Classifier
    events: EventBook
    ledger: Ledger
    options: Options = Options()


class Draft:
    """Everything the turn has done; the session it began from stays as it was."""

    def __init__(self, session: Session, user_input: UserInput, ports: Ports) -> None:
        self.session = session
        self.input = user_input
        self.ports = ports
        self.prepared = session.prepared
        self.agent = session.prepared.agent
        self.channel = session.conversation.channel
        before = session.snapshot
        self.place = before.place
        self.state = before.state
        self.view = before.view
        self.variant = before.variant
        self.asr_language = before.asr_language
        self.tts_language = before.tts_language
        self.silence_count = before.silence_count
        self.disabled_topics = before.disabled_topics
        self.retained = before.retained
        self.entities = before.entities
        self.unsynced = before.unsynced
        self.events = before.events
        self.asr_biasing = before.asr_biasing
        self.discards_recording = False
        self.started_at = ports.clock.now()
        self.began = perf_counter()
        self.seed = ports.random.seed()
        self.reply = ""
        self.is_over = False
        self.end_reason: EndReason | None = None
        self.handoff: HandoffRequest | None = None
        self.listen: dict[str, Any] | None = None
        self.voice: dict[str, Any] | None = None  # set in this turn
        self.is_spoken = session.conversation.channel.startswith("sip.")  # a call, which hears sentences as they come
        self.calls: list[FunctionCall] = []
        self.exchanges: list[Exchange] = []
        self.asked: list[ModelExchange] = []
        self.messages: list[Message] = []
        self.metrics: list[Metric] = []
        self.notices: list[Notice] = []
        self.trace: list[str] = []
        self.stop_keywords: list[str] = []
        self.extractions: list[Extraction] = []
        self.safety: list[SafetyFinding] = []
        self.fillers: list[Interim] = []
        self.text = user_input.text  # what the user is taken to have said
        self.corrections: tuple[str, ...] = ()
        self.is_input_withheld = False
        self.failed_calls = 0  # in a row
        self.topics: tuple[RetrievedTopic, ...] = ()
        self.found: tuple[tuple[str, float], ...] = ()
        self.passages: tuple[SourcePassage, ...] = ()
        self.exposed: set[str] = set()
        self.timings = {"retrieval": 0.0, "model": 0.0, "functions": 0.0}
        self.history = list(session.history)

    @property
    def language(self) -> str:
        return self.tts_language

    def conversation_now(self) -> datetime:
        """The conversation's own time, which a test may have pinned at its start."""
        conversation = self.session.conversation
        now = self.ports.clock.now()
        return now if conversation.pinned_at is None else conversation.pinned_at + (now - conversation.started_at)

    @property
    def zone(self) -> ZoneInfo:
        """The variant's own time zone, where it names one, else the server's."""
        attributes = self.agent.variants.attributes.get(self.variant or "", {})
        for name in TIME_ZONE_ATTRIBUTES:
            if name in attributes and (found := _zone(attributes[name])) is not None:
                return found
        return _zone(self.ports.options.time_zone) or ZoneInfo("UTC")

    def local_now(self) -> datetime:
        return self.conversation_now().astimezone(self.zone)

    @property
    def is_ended(self) -> bool:
        return self.end_reason is not None

    def visit(self, node: str) -> None:
        self.trace.append(node)

    def notice(self, code: str, message: str) -> None:
        self.notices.append(Notice(code=code, message=message))

    def renderer(self) -> Renderer:
        return Renderer(
            self.agent,
            view=self.view,
            variant=self.variant,
            language=self.language,
            channel=self.channel,
            entities=self.entities,
            heard=self.session.heard,
        )

    # Language.

    def set_languages(self, asr: str, tts: str) -> None:
        """For the rest of the turn and from then on; the state's keys of the same meaning follow."""
        self.asr_language, self.tts_language = asr, tts
        for key, tag in (("asr_lang_code", asr), ("tts_lang_code", tts)):
            if key in self.view and shown(self.view[key]) != tag:
                self.view = {**self.view, key: Raw(msgspec.json.encode(tag))}
                self.unsynced = {**self.unsynced, key: tag}

    # The model.

    def request(self) -> ModelRequest:
        if not self.trace or self.trace[-1] != self.place.node:
            self.visit(self.place.node)
        return prompt.build(
            self.prepared,
            self.renderer(),
            prompt.Standing(
                place=self.place,
                channel=self.channel,
                variant=self.variant,
                language=self.language,
                topics=self.topics,
                passages=self.passages,
                history=(*self.session.messages, *self.messages),
                exposed=frozenset(self.exposed),
                events=tuple(e for e in self.session.surroundings.events if e.is_for_model),
                now=self.conversation_now(),
                seed=self.seed,
            ),
        )

    def exchange(self, request: ModelRequest) -> Exchange:
        exchange = Exchange(self.ports.random.uuid(), request, self.place, self.ports.clock)
        self.exchanges.append(exchange)
        return exchange

    def answered_with_calls(self, calls: tuple[ToolCall, ...]) -> None:
        self.messages.append(Message(role="assistant", calls=calls))

    def resolve(self, call: ToolCall, request: ModelRequest) -> tuple[Function | None, dict[str, Any], str | None]:
        """(function, arguments, None), or (None, {}, what to tell the model); (None, {}, None) is a tool of our own."""
        available = [tool.name for tool in request.tools]
        if call.name not in available:
            self.visit(f"unknown_function:{call.name[:80]}")
            self.notice("unknown_function", f"The model called {call.name[:80]!r}, which it cannot call here.")
            text = prompt.text_of(self.agent, "function_not_found")
            return None, {}, text.replace("{name}", call.name).replace("{available}", ", ".join(available) or "none")
        step = flows.step_at(self.agent, self.place)
        if call.name in (tools.HANDOFF_TOOL, tools.SMS_TOOL, tools.LANGUAGE_TOOL) or self._collects(call):
            return None, {}, None
        clashes = self.prepared.clashes(self.place.flow, step) if isinstance(step, PromptStep) else frozenset()
        function = tools.resolve(self.agent, call.name, self.place.flow, clashes)
        if function is None:
            return None, {}, prompt.text_of(self.agent, "function_not_found")
        arguments, problem = tools.arguments(call.arguments, function.parameters)
        if problem is not None:
            self.notice("bad_arguments", f"The model called {call.name!r} with arguments that cannot be read.")
            return None, {}, problem
        return function, arguments, None

    def built_in(self, call: ToolCall, request: ModelRequest) -> Effect:
        """Runs one of our own tools."""
        if self._collects(call):
            step = flows.step_at(self.agent, self.place)
            assert isinstance(step, PromptStep)
            return collecting.run(self, call, self.prepared.collecting(self.place.flow or "", step))
        return builtins.run(self, call, request)

    def _collects(self, call: ToolCall) -> bool:
        """True for a tool of the default step that the conversation is in."""
        step = flows.step_at(self.agent, self.place)
        if not isinstance(step, PromptStep) or step.kind != "default":
            return False
        return call.name in self.prepared.collecting(self.place.flow or "", step).names

    def collect(self, name: str, collected: Collected) -> None:
        """Keeps a valid value for conv.entities and, typed, for conv.state."""
        self.entities = {**self.entities, name: collected}
        self.view = {**self.view, name: collecting.as_state(collected)}
        self.unsynced = {**self.unsynced, name: collected.typed}
        self.session.heard.hear(collected.value)

    def function_result(self, call: ToolCall, content: str) -> None:
        self.messages.append(Message(role="function", content=content, call_id=call.id, name=call.name))

    # Author functions.

    async def call(
        self,
        function: Function,
        arguments: dict[str, Any],
        *,
        tool_call: ToolCall,
        exchange: Exchange | None = None,
        interims: Sequence[Interim] = (),
    ) -> Effect:
        """Runs it, applies what it did, and adds it to the record and to the model's history.

        `interims` is read when the function has returned: whoever speaks meanwhile adds to it.
        """
        if function.kind in ("global", "flow"):
            self.visit(f"function:{function.name}")
        options = self.ports.options
        timeout = options.delayed_function_timeout if function.delay else options.function_timeout
        asked = Asked(self)
        self.session.heard.hear(arguments)
        place = self.place
        started_at, began = self.ports.clock.now(), perf_counter()
        outcome = await self.ports.functions.call(
            function, arguments, self._conversation_view(self._key_of(function)), asked, timeout=timeout
        )
        if asked.has_secrets:
            outcome = masking.masked(outcome, asked.mask)
        took = perf_counter() - began
        self.timings["functions"] += took
        effect = effects.settle(outcome)
        changes = self._keep_state(outcome)
        self.apply(effect)  # first: what it returned is rendered in the language and variant that it chose
        effect = replace(effect, content=self._rendered(effect.content), utterance=self._rendered(effect.utterance))
        if self._is_wrapped(effect):
            own_words = f"Say this to the user in your own words: {effect.utterance}"
            effect = replace(effect, content=own_words, utterance=None)
        if effect.handoff is not None:
            effect = replace(effect, handoff=handing_over.routed(self, effect.handoff))
        content = effect.content
        for write in outcome.metrics:
            self.metrics.append(Metric(name=write.name, value=write.value, at=write.at))
        self.calls.append(
            FunctionCall(
                id=self.ports.random.uuid(),
                name=function.name,
                kind=function.kind,
                module=function.module,
                arguments=arguments,
                exchange_id=exchange.id if exchange is not None else None,
                place=place,
                started_at=started_at,
                duration_ms=round(took * 1000, 3),
                content=content,
                utterance=effect.utterance,
                end_turn=effect.end_turn,
                hangup=effect.hangup,
                handoff=effect.handoff,
                transition=effect.transition,
                variant=effect.variant,
                listen=effect.listen,
                error=outcome.error,
                logs=(*asked.logs, *outcome.logs),
                state_changes=changes,
                metrics=tuple(Metric(name=m.name, value=m.value, at=m.at) for m in outcome.metrics),
                messages=tuple(self._rendered_message(m) for m in outcome.messages),
                exchanges=tuple(asked.exchanges),
                interims=tuple(interims),
            )
        )
        self.notices.extend(effect.notices)
        if outcome.error is not None:
            self.notice("function_failed", f"{function.name} failed.")
        self.function_result(
            tool_call, ERROR_RESULT if outcome.error is not None and content is None else content or ""
        )
        self.speak(effect)
        return effect

    def _is_wrapped(self, effect: Effect) -> bool:
        """Web chat may have the words of functions put into the model's own."""
        is_asked_for = self.agent.experimental.wraps_utterances and channel_family(self.channel) == "webchat"
        return is_asked_for and bool(effect.utterance) and not effect.hangup and effect.handoff is None

    def _conversation_view(self, key: str) -> View:
        metrics = (
            [*self.session.metrics, *((m.name, m.value) for m in self.metrics)]
            if self.metrics
            else self.session.metrics
        )
        return View(
            conversation=self.session.conversation,
            now=self.conversation_now(),
            place=self.place,
            state=self.state,
            history=tuple(self.history),
            metrics=tuple(metrics),
            variant=self.variant,
            language=self.language,
            alternatives=tuple(dict.fromkeys((self.text, self.input.text))) if self.text else (),
            entities=self.entities,
            unsynced=self.unsynced,
            zone=self.zone.key,
            surroundings=self.session.surroundings,
            key=key,
        )

    def _key_of(self, function: Function) -> str:
        """Names this call of this turn to whoever it reaches outside. What the model passes to it may differ when the turn
        is taken again; what was said to it, and which of its calls this is, do not."""
        conversation, said = self.session.conversation, self.input
        times = sum(call.name == function.name for call in self.calls)
        parts = (
            *(conversation.account_id, conversation.agent_id, conversation.id),
            *(str(conversation.turns), said.text, said.dtmf, function.name, str(times)),
        )
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]

    def _keep_state(self, outcome: Outcome) -> StateChanges:
        if outcome.state is not None:
            self.state = outcome.state
            self.unsynced = {}
        if not outcome.view and not outcome.removed:
            return StateChanges()
        before, after = self.view, dict(self.view)
        added, updated = {}, {}
        for key, value in outcome.view.items():
            after[key] = raw = Raw(value)
            now = shown(raw)
            if key in before and bytes(before[key]) == bytes(raw):
                continue  # what a default step had set already
            if key in before:
                updated[key] = [shown(before[key]), now]
            else:
                added[key] = now
        for key in outcome.removed:
            after.pop(key, None)
        self.view = after
        return StateChanges(added=added, updated=updated, removed=outcome.removed)

    def _rendered(self, text: str | None) -> str | None:
        if text is None:
            return None
        return self.renderer().function_result(text[:MAX_CONTENT_CHARACTERS], expose=self._expose)

    def _expose(self, kind: str, name: str) -> None:
        if kind in ("fn", "ft"):
            self.exposed.add(name)

    def _rendered_message(self, message: OutgoingMessage) -> OutgoingMessage:
        content = self.renderer().function_result(message.content) if message.content else ""
        return replace(message, id=self.ports.random.uuid(), content=content)

    def apply(self, effect: Effect) -> None:
        """In the order: variant, language and voice, topics, transition."""
        if effect.variant is not None:
            if effect.variant in self.agent.variants.names:
                self.variant = effect.variant
            else:
                self.notice(
                    "unknown_variant", f"There is no variant {effect.variant!r}; the variant stays {self.variant!r}."
                )
        if effect.language is not None:
            self.set_languages(effect.language, effect.language)
        if effect.voice is not None:
            self.voice = effect.voice
        if effect.disabled_topics is not None:
            self.disabled_topics = effect.disabled_topics
            self.topics = tuple(t for t in self.topics if t.name not in effect.disabled_topics)
        if effect.asr_biasing is not None:
            self.asr_biasing = effect.asr_biasing or None
        self.discards_recording = self.discards_recording or effect.discards_recording
        if effect.listen is not None:
            self.listen = effect.listen
        if effect.transition is not None:
            found = flows.move(self.agent, self.place, effect.transition)
            if found.notice is not None:
                self.notices.append(found.notice)
            if found.has_moved:
                self.place = found.place
                self.visit(found.place.node)

    def leave_flow(self) -> None:
        self.apply(Effect(transition=Transition(exit_flow=True)))

    def speak(self, effect: Effect) -> None:
        if effect.utterance is not None:
            self.say(effect.utterance)
        if effect.handoff is not None:
            handing_over.hand_off(self, effect.handoff)
        if effect.hangup:
            self.end("hangup")
        if effect.ends_turn:
            self.is_over = True

    # Speech, and the end.

    def released(self, text: str, *, is_keys: bool = False) -> TextReleased:
        """Progress that tells of words, with the voice that they are in by now."""
        return TextReleased(text, self.language, self.voice or self.session.snapshot.voice, is_keys)

    def say(self, text: str) -> None:
        """Adds to the reply of this turn."""
        self.reply = f"{self.reply} {text}".strip() if self.reply and text else self.reply or text
        if text:
            self.messages.append(Message(role="assistant", content=text))

    def take_reply(self) -> str:
        """Empties the reply again, for an opening that replaces the greeting."""
        taken, self.reply = self.reply, ""
        if taken:
            self.messages.pop()
        return taken

    def end(self, reason: EndReason) -> None:
        self.end_reason = reason
        self.is_over = True
        if reason in ("hangup", "silence"):
            self.visit("hangup")


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def shown(raw: Raw) -> Any:
    """A value of the state as plain data."""
    return msgspec.json.decode(raw)
