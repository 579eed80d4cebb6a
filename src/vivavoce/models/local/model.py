"""The embedded model: retrieval and rules. It is no language model, and does not pretend to be one.

It answers with the words of topics, calls the functions that topics, steps and rules point to, takes their arguments from
what the caller said, asks for what is missing, and says so when it does not know.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import msgspec

from vivavoce.domain.clock import Embedder
from vivavoce.domain.conversation import Message, ModelReply, ModelRequest, ToolCall
from vivavoce.entities.words import words
from vivavoce.models.interface import Chunk, ModelRefused, TextDelta
from vivavoce.models.local import collecting, phrases, steps
from vivavoce.models.local.intents import Intents
from vivavoce.models.local.reading import Decision, called_names, spoken

GREETING = "Hello! What can I do for you?"
DO_NOT_KNOW = "I'm sorry, I don't know that. I can answer questions about what I have been told, or pass you on."
ANYTHING_ELSE = "Is there anything else I can do for you?"
STILL_THERE = "Are you still there?"
FAILED = "The function failed."  # as the engine tells a model
NOT_POSSIBLE = "I'm sorry, that is not possible right now. Is there anything else I can do for you?"
NEAR = 0.22  # a topic this near answers even in the middle of a step


class LocalModel:
    name = "local"

    def __init__(self, embedder: Embedder | None) -> None:
        self._intents = Intents(embedder)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        if not request.history or any(part.title == "prompt" for part in request.system):
            raise ModelRefused(
                "The embedded model cannot follow a free prompt; set VIVAVOCE_MODEL to a language model for that."
            )
        decision = self._decide(request)
        if decision.call is not None:
            name, arguments = decision.call
            call = ToolCall(
                id=f"local_{len(request.history)}", name=name, arguments=msgspec.json.encode(arguments).decode()
            )
            yield ModelReply(calls=(call,), finish_reason="tool_calls", model=self.name)
            return
        if decision.text:
            yield TextDelta(decision.text)
        cited = (decision.topic,) if decision.topic else ()
        yield ModelReply(text=decision.text, model=self.name, cited_topics=cited)

    async def close(self) -> None: ...

    def _decide(self, request: ModelRequest) -> Decision:
        last = request.history[-1]
        if last.role == "function":
            return self._after_function(request, last)
        said = last.content.strip()
        if phrases.is_silence(said) or not said:
            question = steps.last_question(request)
            return Decision(text=f"{STILL_THERE} {question}" if question else STILL_THERE)
        if request.step is not None:
            return self._in_step(request, said)
        return self._outside(request, said)

    def _after_function(self, request: ModelRequest, last: Message) -> Decision:
        if last.content.startswith(FAILED):
            return Decision(text=NOT_POSSIBLE)
        if collecting.is_collecting(request) and last.name == collecting.SAVE:
            return collecting.after_saving(request, last.content, self._intents)
        text = spoken(last.content)
        if text:
            return Decision(text=text)
        if request.step is not None:
            return self._step_move(request, is_fresh=True)
        return Decision(text=ANYTHING_ELSE)

    def _in_step(self, request: ModelRequest, said: str) -> Decision:
        # A question in between is answered first, unless what was said is the answer that the step waits for.
        aside = self._aside(request, said)
        if aside is not None:
            return aside
        move = self._step_move(request)
        if move.is_sure:
            return move
        general = self._general(request, said)
        return general if general is not None else move

    def _step_move(self, request: ModelRequest, *, is_fresh: bool = False) -> Decision:
        move = collecting.next_move if collecting.is_collecting(request) else steps.next_move
        return move(request, self._intents, is_fresh=is_fresh)

    def _aside(self, request: ModelRequest, said: str) -> Decision | None:
        if not phrases.is_question(said) or self._is_answer(request, said):
            return None
        topic = next(
            (t for t in request.topics if not t.is_retained and t.distance <= NEAR and t.content.text.strip()), None
        )
        if topic is not None:
            text, name = topic.content.text.strip(), topic.name
        elif request.passages:
            text, name = _excerpt(request.passages[0].text.text, said), ""
        else:
            return None
        question = steps.last_question(request)
        return Decision(text=f"{text} {question}" if question else text, topic=name)

    def _is_answer(self, request: ModelRequest, said: str) -> bool:
        """Whether the last words give the step something it waits for."""
        return not collecting.is_collecting(request) and steps.answers_step(request, self._intents)

    def _outside(self, request: ModelRequest, said: str) -> Decision:
        small_talk = phrases.small_talk(said)
        if small_talk == "greeting":
            return Decision(text=GREETING)
        if phrases.asks_whether_heard(said):
            return Decision(text="I can hear you well. What can I do for you?")
        if phrases.is_refusal(said):
            return Decision(text=f"All right. {ANYTHING_ELSE}")
        if phrases.is_goodbye(said) and not phrases.is_question(said):
            general = self._general(request, said)
            if general is not None:
                return general
        found = [t for t in request.topics if not t.is_retained]
        best = found[0] if found else None
        general = self._general(request, said)
        is_better = best is None or (best.distance > NEAR and self._intents.is_request(said))
        if general is not None and is_better:
            return general
        if best is None and request.passages and phrases.is_question(said):
            return Decision(text=_excerpt(request.passages[0].text.text, said))
        if best is None:
            answer = phrases.yes_no_outside(said)
            if answer is not None:
                return Decision(text=answer)
            return Decision(text=DO_NOT_KNOW)
        names = list(called_names(best.actions.text, request.tools))
        if names:
            return steps.call(request, names[0], self._intents)
        if best.content.text.strip():
            return Decision(text=best.content.text.strip(), topic=best.name)
        return Decision(text=spoken(best.actions.text) or DO_NOT_KNOW, topic=best.name)

    def _general(self, request: ModelRequest, said: str) -> Decision | None:
        """A function of the rules that the words ask for: a person, a goodbye."""
        own = set(request.step.functions) if request.step is not None else set()
        topics = {name for topic in request.topics for name in topic.functions}
        candidates = [t for t in request.tools if t.name not in own and (t.name not in topics or request.step is None)]
        tool = self._intents.best_tool(said, candidates)
        return steps.call(request, tool.name, self._intents) if tool is not None else None


def _excerpt(passage: str, said: str) -> str:
    """The sentence of a passage that shares most with a question, with the one after it."""
    plain = re.sub(r"(?m)^\s*(?:#{1,6}|[-*>])\s+|[*_`]", "", passage)
    sentences = [s for s in re.split(r"(?<=[.!?])\s+|\n+", plain.strip()) if s.strip()] or [plain]
    asked = set(words(said))
    best = max(range(len(sentences)), key=lambda n: len(asked & set(words(sentences[n]))))
    return " ".join(s.strip() for s in sentences[best : best + 2])
