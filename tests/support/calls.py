"""Simulated calls with scripted engines: as quick as text, through the whole of the voice path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.support.talk import script, serving
from vivavoce.audio import wav
from vivavoce.domain.conversation import Turn
from vivavoce.models.interface import Model
from vivavoce.service.calls import Ended
from vivavoce.service.chats import Opening
from vivavoce.service.conversations import Found
from vivavoce.service.keys import OPERATOR
from vivavoce.service.recordings import Direction
from vivavoce.speech.fallback import FallbackRecognizer, FallbackSynthesizer
from vivavoce.speech.interface import Recognizer, Synthesizer
from vivavoce.speech.loudness import LoudnessActivity
from vivavoce.speech.scripted import ScriptedRecognizer, ScriptedSynthesizer, Tongue
from vivavoce.voice.call import Engines
from vivavoce.voice.line import Line
from vivavoce.voice.pace import AsFastAsPossible, Pace
from vivavoce.voice.simulated import Act, SimulatedCaller, Speak
from vivavoce.wiring import Running

ECHO = 'rules: [{when: {said: "user is silent"}, say: "Are you there?"}, {when: {said: "(?P<words>.+)"}, say: "You said {words}"}]\notherwise: "Are you there?"'
GREETING = "greeting: {welcome_message: Hello}\n"
VOICE = {"voice/configuration.yaml": GREETING}
BARGE_IN = {"voice/speech_recognition/asr_settings.yaml": "barge_in: true\ninteraction_style: balanced\n"}


class Held(Struct, frozen=True):
    """A call that is over: what the caller heard, and what remains of it."""

    ended: Ended
    caller: SimulatedCaller
    found: Found
    started: Running

    @property
    def turns(self) -> Sequence[Turn]:
        return self.found.turns

    @property
    def said(self) -> list[tuple[str, str]]:
        """(what the caller was taken to have said, the reply as it was heard)."""
        return [(turn.input.text or turn.input.dtmf, turn.reply) for turn in self.turns]

    async def sound(self, direction: Direction = "combined", *, is_mono: bool = False) -> bytes:
        """PCM of the recording."""
        found = self.found.conversation
        sound = await self.started.services.conversations.recording(
            OPERATOR, found.agent_id, found.id, direction=direction, is_redacted=False, is_mono=is_mono
        )
        return b"".join([piece async for piece in sound.read(wav.HEADER_BYTES, sound.size)])


class Exchange:
    """A server whose engines share one tongue, and calls to it."""

    def __init__(self, started: Running, tongue: Tongue) -> None:
        self.started = started
        self.tongue = tongue
        self._voice = ScriptedSynthesizer(tongue)

    def say(self, text: str, *, interrupts_after: float | None = None) -> Speak:
        return Speak(self._voice.sound(text), text, interrupts_after)

    async def call(self, *acts: Act | str, pace: Pace | None = None, line: Line | None = None, **opening: Any) -> Held:
        caller = SimulatedCaller([self.say(act) if isinstance(act, str) else act for act in acts])
        calls = self.started.services.calls
        ended = await calls.hold(
            OPERATOR,
            self.started.services.deployments.served[0].agent_id,
            Opening(environment="sandbox", **opening),
            line or caller,
            pace=pace or AsFastAsPossible(),
        )
        assert ended.conversation is not None
        found = await self.started.services.conversations.get(
            OPERATOR, ended.conversation.agent_id, ended.conversation.id
        )
        return Held(ended, caller, found, self.started)


@asynccontextmanager
async def exchange(
    folder: Path,
    model: Model | str = ECHO,
    *,
    data: Path | None = None,
    recognizers: Sequence[Recognizer] = (),
    synthesizers: Sequence[Synthesizer] = (),
    tongue: Tongue | None = None,
    **overrides: Any,
) -> AsyncIterator[Exchange]:
    tongue = tongue or Tongue()
    engines = Engines(
        recognizer=FallbackRecognizer(recognizers or [ScriptedRecognizer(tongue)]),
        synthesizer=FallbackSynthesizer(synthesizers or [ScriptedSynthesizer(tongue)]),
        activity=LoudnessActivity(),
    )
    scripted = script(model) if isinstance(model, str) else model
    async with serving(folder, scripted, data=data, engines=lambda: engines, **overrides) as talk:
        yield Exchange(talk().started, tongue)
