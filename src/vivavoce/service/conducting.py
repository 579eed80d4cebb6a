"""The conversation of a call: what the call asks becomes turns, and turns become words to say and ways to listen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from msgspec.structs import replace

from vivavoce.domain.agent import Agent
from vivavoce.domain.call import Played
from vivavoce.domain.conversation import Conversation, EndReason, HandoffRequest, Message, PersonalSpan, Turn
from vivavoce.domain.principal import Principal
from vivavoce.engine.progress import InterimSpoken, Progress, TextReleased
from vivavoce.errors import Unavailable
from vivavoce.service.chats import Answered, Chats, Opening, Taken
from vivavoce.service.chats import Said as Message_
from vivavoce.service.manner import manner_after, transfer_of, voice_of
from vivavoce.speech.interface import Voice
from vivavoce.voice.conduct import Conducted, Manner, Outcome, Said, Saying, Transfer


class Conducting:
    """Turns of one conversation, on behalf of whoever is on the line. `changed` is told of the conversation after each."""

    def __init__(
        self,
        chats: Chats,
        principal: Principal,
        agent: Agent,
        opening: Opening,
        *,
        apology: str,
        changed: Callable[[Conversation], None],
    ) -> None:
        self._chats = chats
        self._principal = principal
        self._agent = agent
        self._opening = opening
        self._apology = apology
        self._changed = changed
        self._voice = Voice(language=agent.languages.default)
        self.conversation: Conversation | None = None

    def start(self) -> AsyncIterator[Conducted]:
        return self._conducted(self._chats.opening(self._principal, self._agent.identity.agent_id, self._opening))

    def take_turn(self, said: Said) -> AsyncIterator[Conducted]:
        conversation = self._begun()
        message = Message_(text=said.text, dtmf=said.digits, spoken=said.spoken)
        return self._conducted(self._chats.responding(self._principal, conversation.agent_id, conversation.id, message))

    async def _conducted(self, progresses: AsyncIterator[Progress | Taken | Answered]) -> AsyncIterator[Conducted]:
        async for progress in progresses:
            match progress:
                case TextReleased():
                    self._voice = voice_of(progress.voice, progress.language, self._opening.id or "")
                    if progress.is_keys:
                        yield Saying(text="", digits=progress.text, voice=self._voice)
                    elif progress.text:
                        yield self._saying(progress.text)
                case InterimSpoken():
                    yield self._saying(progress.text, is_interim=True)
                case Taken():
                    yield self._taken(progress)
                case _:
                    pass

    def _saying(self, text: str, *, is_interim: bool = False) -> Saying:
        rules = self._agent.speech.pronunciations
        return Saying(text=text, voice=self._voice, pronunciations=rules, is_interim=is_interim)

    def _taken(self, taken: Taken) -> Outcome:
        conversation, turn = taken.conversation, taken.turn
        self.conversation = conversation
        self._changed(conversation)
        return Outcome(
            index=turn.index,
            manner=manner_after(self._agent, turn, taken.snapshot, turn.asr_language),
            ending=turn.end_reason,
            transfer=transfer_of(turn.handoff) if turn.end_reason == "handoff" else None,
        )

    @property
    def apology(self) -> Saying:
        return self._saying(self._apology, is_interim=True)

    async def give_up(self, problem: str) -> AsyncIterator[Conducted]:
        """An apology, then a person where the agent has somebody to hand over to."""
        yield self.apology
        handoff = next((h for h in self._agent.handoffs.values() if h.is_default), None)
        transfer: Transfer | None = None
        if handoff is not None and handoff.phone_number:
            block = {"phone_number": handoff.phone_number, "sip_headers": handoff.sip_headers}
            transfer = transfer_of(HandoffRequest(destination=handoff.name, route={handoff.method: block}))
        await self.end("failed")
        yield Outcome(index=-1, manner=Manner(), ending="failed", transfer=transfer)

    async def played(self, index: int, played: Played) -> None:
        await self._chats.amend(self._begun(), index, lambda turn: amended(turn, played))

    async def end(self, reason: EndReason) -> None:
        if self.conversation is not None:
            known = self.conversation
            self.conversation = await self._chats.end(self._principal, known.agent_id, known.id, reason)

    def _begun(self) -> Conversation:
        if self.conversation is None:
            raise Unavailable("The conversation could not be begun.")
        return self.conversation


def amended(turn: Turn, played: Played) -> Turn:
    """The turn as it was heard. What the caller's interruption cut off is kept apart from the reply."""
    if played.heard is None or played.heard == turn.reply:
        return replace(turn, played=replace(played, heard=None))
    heard, rest = _divided(turn.reply, played.heard)
    return replace(
        turn,
        played=replace(played, heard=None),
        reply=heard,
        unplayed=rest,
        messages=_cut_messages(turn.messages, len(rest)),
        personal=tuple(_clipped(turn, len(heard))) if turn.personal is not None else None,
    )


def _divided(reply: str, heard: str) -> tuple[str, str]:
    """The reply at the end of the words that were heard: `heard` is the same words, spaced by the voice."""
    wanted = sum(not c.isspace() for c in heard)
    at = 0
    while wanted > 0 and at < len(reply):
        wanted -= not reply[at].isspace()
        at += 1
    return reply[:at], reply[at:]


def _cut_messages(messages: tuple[Message, ...], unheard: int) -> tuple[Message, ...]:
    """Takes so many characters off the end of what the model is told that it has said."""
    kept = list(messages)
    for number in range(len(kept) - 1, -1, -1):
        message = kept[number]
        if unheard <= 0 or message.role != "assistant" or message.calls:
            break
        kept[number] = replace(message, content=message.content[: max(0, len(message.content) - unheard)])
        unheard -= len(message.content) + 1
    return tuple(kept)


def _clipped(turn: Turn, length: int) -> Iterator[PersonalSpan]:
    for span in turn.personal or ():
        if span.side != "reply":
            yield span
        elif span.start < length:
            yield PersonalSpan(span.side, span.start, min(span.end, length), span.category)
