"""The loop of a turn: input, retrieval, model, functions, effects, reply. `respond` is the algorithm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from vivavoce.domain.agent import Function
from vivavoce.domain.conversation import Interim, Message, ModelRequest, ToolCall, UserInput
from vivavoce.engine import hearing, pacing, prompt, screening, tools
from vivavoce.engine.draft import Draft, Ports
from vivavoce.engine.early import Early
from vivavoce.engine.effects import Effect
from vivavoce.engine.exchange import Exchange
from vivavoce.engine.finishing import finish
from vivavoce.engine.flows import is_function_step
from vivavoce.engine.guard import Guard
from vivavoce.engine.progress import CallFinished, CallStarted, Finished, Moved, Progress
from vivavoce.engine.rendering import channel_family
from vivavoce.engine.retrieval import retrieve
from vivavoce.engine.session import Session
from vivavoce.models.interface import ModelError, TextDelta

MAX_REQUESTS = 8  # to the model, in one turn
MAX_FAILED_CALLS = 3  # in a row, before the agent apologises
MAX_STOP_KEYWORD_RUNS = 2
MAX_STEP_CHAIN = 20  # function steps that lead to one another without anything said
HANGUP_UTTERANCE = "Thank you for calling. Have a great day! Goodbye."


async def start(session: Session, ports: Ports) -> AsyncIterator[Progress]:
    """The opening turn: start function, then its utterance or the channel's greeting. The model is not asked."""
    draft = Draft(session, UserInput(), ports)
    hearing.greet_again(draft)
    hearing.check_language(draft)
    function = session.prepared.agent.functions.get("start_function")
    opening: str | None = None
    if function is not None:
        draft.visit("start_function")
        calling = _Calling(draft, function, {})
        async for progress in calling:
            yield progress
        opening = calling.effect.utterance
        if is_function_step(draft.agent, draft.place):
            async for progress in _run_steps(draft):
                yield progress
            opening = draft.take_reply() or opening
    draft.visit("greeting")
    draft.say(_greeting(draft) if opening is None else opening)
    yield draft.released(draft.reply)
    yield Finished(*finish(draft))


async def respond(session: Session, user_input: UserInput, ports: Ports) -> AsyncIterator[Progress]:
    """One user contribution and everything the agent does about it."""
    draft = Draft(session, user_input, ports)
    progresses = _respond(draft)
    fillers = draft.agent.experimental.fillers or prompt.channel_settings(draft.agent, draft.channel).fillers
    if fillers is not None:
        schedule = pacing.fillers(fillers, draft.language, draft.seed)
        progresses = pacing.filled(progresses, schedule, draft.fillers)
    async for progress in progresses:
        yield progress


async def _respond(draft: Draft) -> AsyncIterator[Progress]:
    if await _is_settled_by_input(draft):
        yield draft.released(draft.reply)
        yield Finished(*finish(draft))
        return
    if is_function_step(draft.agent, draft.place):  # a chain that stopped there on an earlier turn
        async for progress in _run_steps(draft):
            yield progress
    if not draft.is_over:
        retrieve(draft)
    requests = 0
    empty = False
    while not draft.is_over:
        if requests == MAX_REQUESTS:
            draft.notice(
                "loop_limit", f"The model was asked {MAX_REQUESTS} times in this turn without coming to a reply."
            )
            draft.say(draft.ports.options.apology)
            break
        requests += 1
        guard = Guard(draft.agent.stop_keywords, draft.language)
        request = draft.request()
        exchange = draft.exchange(request)
        early = Early(draft)
        try:
            async for chunk in draft.ports.model.stream(request):
                if isinstance(chunk, TextDelta):
                    exchange.first_text()
                    if text := await early.take(guard.feed(chunk.text)):
                        yield draft.released(text)
                    if guard.stopped or early.is_blocked:
                        break
                else:
                    exchange.reply = chunk
        except ModelError as error:
            exchange.failed(error.message)
            draft.notice("model_failed", error.message)
            draft.say(early.text)
            draft.say(draft.ports.options.apology)
            yield draft.released(draft.ports.options.apology)
            break
        reply = exchange.settled(guard)
        for name in guard.slow:
            draft.notice("slow_stop_keyword", f"A pattern of the stop keyword {name!r} took too long and was left out.")
        if reply.calls:  # text beside a call is not spoken, but for what a caller has heard: authors never rely on both
            draft.say(early.text)
            draft.answered_with_calls(reply.calls)
            async for progress in _run_calls(draft, request, exchange, reply.calls):
                yield progress
            if is_function_step(draft.agent, draft.place):
                async for progress in _run_steps(draft):
                    yield progress
            if draft.failed_calls >= MAX_FAILED_CALLS and not draft.is_over:
                draft.notice("functions_failed", f"{draft.failed_calls} calls in a row failed.")
                draft.say(draft.ports.options.apology)
                break
            continue
        rest = await early.rest(guard.released)
        text = exchange.delivered = early.text
        if guard.stopped is not None and not early.is_blocked:
            async for progress in _stopped(draft, guard, text, rest):
                yield progress
            continue
        if text or draft.reply:
            draft.say(text)
            draft.is_over = True
            yield draft.released(rest)
        elif empty:
            draft.say(draft.ports.options.apology)
            draft.is_over = True
        else:
            empty = True
            draft.notice("empty_reply", "The model answered with nothing; it was asked again.")
    yield Finished(*finish(draft))


async def _is_settled_by_input(draft: Draft) -> bool:
    """True when what came in is answered already: the user was silent too often, or said what the filters keep back."""
    if hearing.take_in(draft):
        draft.visit("silence")
        draft.say(_hangup_utterance(draft))
        draft.end("silence")
        return True
    if await screening.blocks(draft, draft.text, "input"):
        hearing.withhold_input(draft)
        draft.say(draft.ports.options.safety_reply)
        return True
    return False


class _Calling:
    """One run of an author function as progress, its delay messages among it; the effect is there at the end."""

    def __init__(
        self,
        draft: Draft,
        function: Function,
        arguments: dict[str, Any],
        *,
        tool_call: ToolCall | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        """Without a `tool_call` it is the engine that calls, which enters the model's history as if the model had."""
        self._draft = draft
        self._function = function
        self._arguments = arguments
        self._tool_call = tool_call
        self._exchange = exchange
        self.effect = Effect()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        draft, function = self._draft, self._function
        call = self._tool_call
        if call is None:
            call = ToolCall(id=draft.ports.random.uuid(), name=function.name)
            draft.messages.append(Message(role="assistant", calls=(call,)))
        yield CallStarted(function.name)
        interims: list[Interim] = []
        work = draft.call(function, self._arguments, tool_call=call, exchange=self._exchange, interims=interims)
        if function.delay is not None and function.delay.messages and function.kind not in ("start", "end"):
            renderer = draft.renderer()
            schedule = ((wait, renderer.render(text).text) for wait, text in pacing.delays(function.delay))
            task = asyncio.ensure_future(work)
            async for interim in pacing.waiting(task, schedule, interims):
                yield interim
            self.effect = await task
        else:
            self.effect = await work
        yield CallFinished(draft.calls[-1])
        if self.effect.utterance and function.kind != "start":
            yield self._draft.released(self.effect.utterance, is_keys=self.effect.is_keys)


async def _run_calls(
    draft: Draft, request: ModelRequest, exchange: Exchange, calls: tuple[ToolCall, ...]
) -> AsyncIterator[Progress]:
    """The calls of one answer, in order, until one of them settles how the turn goes on."""
    for number, call in enumerate(calls):
        function, arguments, problem = draft.resolve(call, request)
        if function is None:
            effect = draft.built_in(call, request) if problem is None else Effect(content=problem)
            draft.function_result(call, effect.content or "")
            if effect.utterance:
                yield draft.released(effect.utterance)
        else:
            calling = _Calling(draft, function, arguments, tool_call=call, exchange=exchange)
            async for progress in calling:
                yield progress
            effect = calling.effect
            draft.failed_calls = draft.failed_calls + 1 if draft.calls[-1].error else 0
        if effect.transition:
            yield Moved(draft.place)
        if effect.ends_turn or effect.transition or effect.utterance is not None:
            for skipped in calls[number + 1 :]:
                draft.function_result(skipped, "Not executed: an earlier call came first.")
            break


async def _stopped(draft: Draft, guard: Guard, text: str, rest: str) -> AsyncIterator[Progress]:
    """A stop keyword cut the reply: say what may be said, of which `rest` has not been released, then let its function
    decide how to go on."""
    assert guard.stopped is not None
    keyword = guard.stopped.keyword
    draft.visit(f"stop_keyword:{keyword.name}")
    draft.stop_keywords.append(keyword.name)
    if text:
        draft.say(text)
        yield draft.released(rest)
    function = draft.agent.functions.get(keyword.function or "")
    if len(draft.stop_keywords) > MAX_STOP_KEYWORD_RUNS:
        draft.notice("stop_keywords", "Stop keywords cut the reply again and again; the turn was ended.")
        if not draft.reply:
            draft.say(draft.ports.options.apology)
        draft.is_over = True
        return
    if function is None:
        draft.is_over = bool(text)
        return
    zeros, _ = tools.arguments("", function.parameters)  # the model gave none, and the caller is not asked
    calling = _Calling(draft, function, zeros)
    async for progress in calling:
        yield progress
    if is_function_step(draft.agent, draft.place):
        async for progress in _run_steps(draft):
            yield progress
    effect = calling.effect
    if not draft.is_over and not effect.content and not effect.transition and draft.reply:
        draft.is_over = True  # the function had nothing to add to what was said


async def _run_steps(draft: Draft) -> AsyncIterator[Progress]:
    """Runs function steps for as long as each leads to another."""
    for _ in range(MAX_STEP_CHAIN):
        place = draft.place
        function = draft.agent.step_functions.get(place.flow or "", {}).get(place.step or "")
        if function is None:
            draft.notice("unknown_step", f"The function step {place.step!r} cannot be run; the flow was left.")
            draft.leave_flow()
            return
        draft.visit(f"function:{function.name}")
        calling = _Calling(draft, function, {})
        async for progress in calling:
            yield progress
        if calling.effect.transition:
            yield Moved(draft.place)
        if draft.is_ended or not is_function_step(draft.agent, draft.place):
            return
        if draft.place == place:
            draft.notice(
                "step_without_transition",
                f"The function step {function.name!r} led nowhere; it runs again on the next turn.",
            )
            return
    draft.notice("step_chain", f"More than {MAX_STEP_CHAIN} function steps in a row; the flow was left.")
    draft.leave_flow()


def _greeting(draft: Draft) -> str:
    settings = prompt.channel_settings(draft.agent, draft.channel)
    disclaimer = settings.disclaimer.text if settings.disclaimer is not None else None
    disclaimer = draft.agent.experimental.disclaimers.get(draft.channel, disclaimer)
    parts = [settings.greeting.text]
    if disclaimer and channel_family(draft.channel) == "voice":
        parts.insert(0, disclaimer)
    renderer = draft.renderer()
    return " ".join(filter(None, (renderer.render(part).text.strip() for part in parts)))


def _hangup_utterance(draft: Draft) -> str:
    texts = draft.agent.experimental.hangup_utterance
    language = draft.language
    return texts.get(language) or texts.get(language.split("-")[0]) or texts.get("") or HANGUP_UTTERANCE
