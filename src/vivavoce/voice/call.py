"""A call: every 20 ms one frame in, one frame out, both into the recording; who speaks when is decided here.

What is said and why is the conduct's affair, how sound comes and goes the line's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from vivavoce.audio import pcm
from vivavoce.domain.call import Played
from vivavoce.domain.conversation import EndReason
from vivavoce.errors import ConversationEnded, ConversationExists, ConversationNotFound, VivavoceError
from vivavoce.speech.interface import Recognizer, SpeechError, Synthesizer, VoiceActivity
from vivavoce.voice.conduct import Conduct, Conducted, Manner, Outcome, Said, Saying, Transfer
from vivavoce.voice.ear import Ear
from vivavoce.voice.line import Arrived, Line
from vivavoce.voice.mouth import Mouth
from vivavoce.voice.pace import Pace

log = logging.getLogger(__name__)
LOST_SECONDS = 10.0  # without any sound from the other side: nobody is there any more
LONGEST_SECONDS = 4 * 3600.0
MOST_FAILURES = 3  # in a row, of hearing or of speaking, before the call is given up
PLAYED_SECONDS = 5.0  # to wait for the other side to have heard the last words
HELD_FRAMES = 25  # half a second, before it is recorded
SECRET_SAMPLES = round(0.5 * pcm.RATE)  # after secret keys were collected, that the caller's side stays silent
TURN_SECONDS = 30.0  # to wait for a turn that runs when the caller hangs up


class Engines(Struct, frozen=True, kw_only=True):
    recognizer: Recognizer
    synthesizer: Synthesizer
    activity: VoiceActivity


class Recorder(Protocol):
    def write(self, caller: bytes, agent: bytes) -> None:
        """A frame of each, at once and without waiting."""
        ...


class Call:
    """One call from its first frame to its last. `run` returns how it ended."""

    def __init__(
        self,
        conduct: Conduct,
        line: Line,
        engines: Engines,
        recorder: Recorder,
        pace: Pace,
        *,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._conduct = conduct
        self._line = line
        self._recorder = recorder
        self._pace = pace
        self._seconds = seconds
        self._manner = Manner(hears_speech=False)
        self._ear = Ear(
            engines.recognizer, engines.activity, said=self._heard, failed=self._failed_to_hear, seconds=seconds
        )
        self._mouth = Mouth(engines.synthesizer, failed=self._failed_to_speak, seconds=seconds)
        self._samples = 0
        self._secret_until = 0
        self._held: deque[tuple[bytes, bytes]] = deque()  # of both sides, not recorded yet
        self._last_arrival = 0.0
        self._turn: asyncio.Task[Outcome] | None = None
        self._asked = Said()  # what the turn answers
        self._reply = 0  # counts up
        self._outcome: Outcome | None = None  # of the reply that is being played
        self._pending: list[tuple[Said, float]] = []  # what the caller has contributed, and when it was understood
        self._waited = 0.0  # seconds, of what is answered
        self._problems: dict[str, None] = {}  # codes, in their order
        self._misheard = self._unsaid = 0  # in a row
        self._amending: set[asyncio.Task[None]] = set()
        self._is_giving_up = False
        self._is_stopped = False
        self._last_played: tuple[int, Played] | None = None

    @property
    def seconds(self) -> float:
        """How long the call has taken, by its own clock."""
        return self._samples / pcm.RATE

    async def run(self) -> EndReason:
        reason: EndReason = "failed"
        transfer: Transfer | None = None
        try:
            self._begin_turn(Said(), self._conduct.start())
            self._ear.settle(self._manner)
            while True:
                await self._pace.tick(self._is_thinking)
                ending = self._step()
                if ending is not None:
                    reason, transfer = ending
                    break
            await self._finish(reason, transfer)
        finally:
            await self._close()
        return reason

    def stop(self) -> None:
        """Ends it at the next tick, as if the caller had hung up."""
        self._is_stopped = True

    def _is_thinking(self) -> bool:
        """Busy with what was heard, with nothing to say yet."""
        playout = self._mouth.playout
        if playout.is_paused:
            return self._ear.is_recognising
        is_turning = self._turn is not None and not self._turn.done()
        return self._ear.is_recognising or playout.is_starved or (is_turning and not playout.has_pieces)

    # One tick.

    def _step(self) -> tuple[EndReason, Transfer | None] | None:
        """20 ms of the call. Returns how it ends, once it does."""
        arrived = self._line.take()
        now = (self._samples + pcm.FRAME) / pcm.RATE
        if arrived.frame is not None:
            self._last_arrival = now
        caller = arrived.frame or pcm.SILENCE
        playout = self._mouth.playout
        if arrived.keys and self._ear.press(arrived.keys, now, is_agent_speaking=playout.is_speaking):
            self._stop_speaking()
        if self._ear.hear(caller, now, is_agent_speaking=playout.is_speaking, is_waiting=self._is_waiting):
            self._stop_speaking()
        if self._ear.has_floor and playout.has_pieces and playout.start is None:
            playout.is_paused = True
        frame = self._mouth.frame(self._samples)
        if frame is not None:
            self._line.send(frame)
        self._record(caller, frame or pcm.SILENCE)
        self._samples += pcm.FRAME
        return self._settle(now, arrived)

    @property
    def _is_waiting(self) -> bool:
        """It is the caller's turn."""
        return self._turn is None and self._outcome is None and not self._mouth.playout.has_pieces

    def _record(self, caller: bytes, agent: bytes) -> None:
        if not self._manner.is_recording:
            caller = agent = pcm.SILENCE
        if self._ear.is_taking_secret:
            self._secret_until = self._samples + SECRET_SAMPLES
            # A tone is heard before its key is told, and cannot be told from speech for sure: what is held back goes too.
            self._held = deque((pcm.SILENCE, agent_) for _, agent_ in self._held)
        if self._samples < self._secret_until:
            caller = pcm.SILENCE
        self._held.append((caller, agent))
        if len(self._held) > HELD_FRAMES:
            self._recorder.write(*self._held.popleft())

    def _settle(self, now: float, arrived: Arrived) -> tuple[EndReason, Transfer | None] | None:
        """What follows from where things stand now."""
        self._note(*arrived.problems)
        if arrived.is_lost:
            self._note("line_lost")
            return "lost", None
        if arrived.is_gone or self._is_stopped:
            return "client", None
        if now - self._last_arrival > LOST_SECONDS:
            self._note("line_lost")
            return "lost", None
        if now > LONGEST_SECONDS:
            return "limit", None
        if self._turn is not None and self._turn.done():
            self._outcome = self._turn.result()
            self._turn = None
            self._settle_turn(self._outcome)
        playout = self._mouth.playout
        if playout.is_paused and not self._ear.is_busy and not self._pending:
            playout.is_paused = False  # a false interruption
        if self._outcome is None:
            return None
        if self._pending and self._outcome.ending is None:
            self._stop_speaking()
            self._answer_pending()
        elif not playout.has_pieces:
            return self._replied(self._outcome)
        return None

    def _settle_turn(self, outcome: Outcome) -> None:
        self._mouth.playout.drop_interims()
        # A turn that failed says nothing of how to go on: what is not to be recorded still is not.
        if outcome.index >= 0:
            self._manner = outcome.manner
        if outcome.ending is not None:  # the goodbye is played to its end
            self._mouth.playout.is_paused = False
            self._manner = replace(self._manner, hears_speech=False)
        self._ear.settle(self._manner)

    def _replied(self, outcome: Outcome) -> tuple[EndReason, Transfer | None] | None:
        """The reply has been played to its end."""
        playout = self._mouth.playout
        self._amend(outcome, heard=playout.heard if playout.has_broken_off else None)
        self._outcome = None
        if outcome.ending is not None:
            return outcome.ending, outcome.transfer
        if self._unsaid >= MOST_FAILURES:
            self._give_up("speech_failed")
        return None

    # The caller speaks.

    def _stop_speaking(self) -> None:
        """At once. What is left is kept until it is known whether the caller has said anything."""
        playout = self._mouth.playout
        if playout.is_speaking and not (self._outcome is not None and self._outcome.ending is not None):
            playout.is_paused = True
            self._line.clear()

    def _heard(self, said: Said) -> None:
        self._misheard = 0
        shown = "*" * len(said.digits) if said.spoken.is_secret else said.digits
        self._line.tell(_told("user", shown or said.text))
        last = self._pending[-1][0] if self._pending else None
        if last is not None and last.text and said.text:  # went on before the agent could answer
            self._pending[-1] = (joined(last, said), self._pending[-1][1])
        else:
            self._pending.append((said, self._seconds()))
        if self._turn is None and (self._outcome is None or self._outcome.ending is None):
            self._answer_pending()

    def _answer_pending(self) -> None:
        said, at = self._pending.pop(0)
        self._waited = self._seconds() - at
        if self._outcome is not None:
            heard = self._mouth.playout.cut()
            self._line.tell({"type": "interrupted", "heard": heard, "reply": self._reply})
            self._amend(self._outcome, heard=heard)
            self._outcome = None
        else:
            self._mouth.playout.cut()
        self._begin_turn(said, self._conduct.take_turn(said))

    # The agent answers.

    def _begin_turn(self, said: Said, conducted: AsyncIterator[Conducted]) -> None:
        self._asked = said
        self._reply += 1
        self._mouth.begin(self._seconds())
        self._turn = asyncio.create_task(self._run_turn(conducted))

    async def _run_turn(self, conducted: AsyncIterator[Conducted]) -> Outcome:
        outcome: Outcome | None = None
        try:
            async for item in conducted:
                if isinstance(item, Saying):
                    self._say(item)
                else:
                    outcome = item
        except (ConversationEnded, ConversationNotFound, ConversationExists) as error:
            log.warning("a call's conversation is no longer its own: %s", error.code)
            return Outcome(index=-1, manner=Manner(), ending="failed")
        except VivavoceError as error:
            log.warning("a call's turn failed: %s", error.code)
            self._note("turn_failed")
        except Exception as error:  # whatever it is, the caller is not left alone with it
            log.error("a call's turn failed: %s", type(error).__name__, exc_info=error)
            self._note("turn_failed")
        if outcome is None:
            return await self._apologise_and_leave()
        return outcome

    def _say(self, saying: Saying) -> None:
        self._line.tell({**_told("agent", saying.text, is_interim=saying.is_interim), "reply": self._reply})
        self._mouth.say(saying)

    async def _apologise_and_leave(self) -> Outcome:
        outcome = Outcome(index=-1, manner=Manner(), ending="failed")
        try:
            async for item in self._conduct.give_up("turn_failed"):
                if isinstance(item, Saying):
                    self._say(item)
                else:
                    outcome = item
        except VivavoceError as error:
            log.warning("a call could not be given up properly: %s", error.code)
        return outcome

    def _give_up(self, problem: str) -> None:
        if not self._is_giving_up and self._turn is None:
            self._is_giving_up = True
            self._note(problem)
            self._pending.clear()
            self._begin_turn(Said(), self._conduct.give_up(problem))

    def _failed_to_hear(self, error: SpeechError) -> None:
        self._misheard += 1
        self._note("recognition_failed")
        if self._misheard >= MOST_FAILURES:
            self._give_up("recognition_failed")
        elif self._turn is None and self._outcome is None:
            self._say(self._conduct.apology)

    def _failed_to_speak(self, error: SpeechError) -> None:
        self._unsaid += 1
        self._note("synthesis_failed" if error.retryable else "text_not_speakable")

    # What becomes of a reply.

    def _amend(self, outcome: Outcome, *, heard: str | None) -> None:
        """Tells what of the reply was played: all of it, or the words in `heard`."""
        if outcome.index < 0:
            return
        marks, playout = self._mouth.marks, self._mouth.playout
        if self._mouth.has_spoken:
            self._unsaid = 0
        spoken = self._asked.spoken
        before = spoken.endpointing + spoken.recognition + self._waited * 1000 if outcome.index else 0.0
        first_text = marks.first_text if marks.first_text is not None else marks.asked
        first_sound = marks.first_sound if marks.first_sound is not None else first_text
        first_frame = marks.first_frame
        played = Played(
            start=playout.start,
            end=playout.end if playout.start is not None else None,
            synthesizer=self._mouth.engine,
            first_text=_milliseconds(first_text - marks.asked),
            synthesis=_milliseconds(first_sound - first_text),
            transport=_milliseconds((first_frame if first_frame is not None else first_sound) - first_sound),
            perceived=round(before + (first_frame - marks.asked) * 1000, 1) if first_frame is not None else None,
            heard=heard,
            problems=tuple(self._problems),
        )
        self._problems.clear()
        self._last_played = (outcome.index, replace(played, heard=None))
        task = asyncio.create_task(self._tell_played(outcome.index, played))
        self._amending.add(task)
        task.add_done_callback(self._amending.discard)

    async def _tell_played(self, index: int, played: Played) -> None:
        try:
            await self._conduct.played(index, played)
        except VivavoceError as error:
            log.warning("what was played of a turn could not be recorded: %s", error.code)

    async def _tell_late(self) -> None:
        """What went wrong after the last reply is told with it."""
        if self._problems and self._last_played is not None:
            index, played = self._last_played
            played = replace(played, problems=tuple(dict.fromkeys((*played.problems, *self._problems))))
            self._problems.clear()
            self._last_played = (index, played)
            await self._tell_played(index, played)

    def _note(self, *problems: str) -> None:
        self._problems.update(dict.fromkeys(problems))

    # The end.

    async def _finish(self, reason: EndReason, transfer: Transfer | None) -> None:
        if self._turn is not None:  # its effects stand, so its record is waited for
            done, _ = await asyncio.wait({self._turn}, timeout=TURN_SECONDS)
            self._outcome = self._turn.result() if done else None
            if not done:  # it holds the conversation, which has to be ended
                self._turn.cancel()
                await asyncio.gather(self._turn, return_exceptions=True)
        if self._outcome is not None:
            self._amend(self._outcome, heard=self._mouth.playout.cut())
        await asyncio.gather(*self._amending)
        await self._tell_late()
        if reason in ("client", "lost", "limit"):
            try:
                await self._conduct.end(reason)
            except VivavoceError as error:
                log.warning("the end of a call could not be recorded: %s", error.code)
        if reason not in ("client", "lost"):
            try:
                async with asyncio.timeout(PLAYED_SECONDS):
                    await self._line.played()
            except TimeoutError:
                pass  # nobody says so, but it will have been played by now
        if transfer is None or not await self._is_transferred(transfer):
            try:
                await self._line.hang_up()
            except VivavoceError as error:
                log.warning("a line could not be ended: %s", error.code)

    async def _is_transferred(self, transfer: Transfer) -> bool:
        try:
            return await self._line.transfer(transfer)
        except VivavoceError as error:
            log.warning("a call could not be transferred: %s", error.code)
            self._note("transfer_failed")
            await self._tell_late()
            return False

    async def _close(self) -> None:
        for caller, agent in self._held:
            self._recorder.write(caller, agent)
        self._held.clear()
        await self._ear.close()
        await self._mouth.close()
        for task in (self._turn, *self._amending):
            if task is not None and not task.done():
                task.cancel()


def joined(first: Said, second: Said) -> Said:
    """Two utterances that are answered as one."""
    spoken = replace(
        second.spoken,
        start=first.spoken.start,
        alternatives=(),
        is_barge_in=first.spoken.is_barge_in or second.spoken.is_barge_in,
    )
    return Said(text=f"{first.text} {second.text}", spoken=spoken)


def _milliseconds(seconds: float) -> float:
    return round(max(0.0, seconds) * 1000, 1)


def _told(role: str, text: str, *, is_interim: bool = False) -> dict[str, object]:
    return {"type": "transcript", "role": role, "text": text, "interim": is_interim}
