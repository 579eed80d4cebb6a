"""A real simulated call with the embedded engines, and a server that is killed in the middle of one."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.support.calls import Exchange
from tests.support.http import KEY, Process
from tests.support.talk import run, serving
from vivavoce.audio import pcm, wav
from vivavoce.redaction.spoken import pieces
from vivavoce.service.keys import OPERATOR
from vivavoce.speech.interface import Voice
from vivavoce.speech.scripted import Tongue
from vivavoce.voice.simulated import Speak
from vivavoce.voice.word_errors import errors

ROOT = Path(__file__).parents[2]
WORKSHOP = ROOT / "examples" / "bike-workshop"
LINES = ("When are you open?", "I would like to book a repair.", "My back tyre is flat.", "On Thursday, please.")


async def spoken(synthesizer: Any, text: str) -> bytes:
    return b"".join([sound.pcm async for sound in synthesizer.speak(text, Voice())])


def stretch(sound: bytes) -> tuple[int, int]:
    """The first and the last sample that is heard."""
    loud = np.flatnonzero(np.abs(pcm.floats(sound)) > 0.02)
    return int(loud[0]), int(loud[-1])


def test_a_simulated_call_with_the_embedded_engines_is_heard_answered_and_recorded() -> None:
    async def scenario() -> None:
        async with serving(WORKSHOP) as talk:
            started = talk().started
            engines = await started.engines()
            sounds = {line: await spoken(engines.synthesizer, line) for line in LINES}
            held = await Exchange(started, Tongue()).call(*(Speak(sounds[line], line) for line in LINES))
            heard = [turn.input.text for turn in held.turns if turn.input.text]
            wrong, said = errors(" ".join(LINES), " ".join(heard))
            assert wrong / said <= 0.1, heard
            assert "Monday to Friday" in held.turns[1].reply and held.turns[2].place_after.flow == "Book a repair"
            user, agent, both = [await held.sound(side) for side in ("user", "agent", "combined")]  # type: ignore[arg-type]
            assert len(user) == len(agent) == len(both) // 2 == round(held.ended.seconds * pcm.RATE) * 2
            for turn, line in zip(held.turns[1:], LINES, strict=False):
                spoken_, played = turn.input.spoken, turn.played
                assert (
                    spoken_ is not None and played is not None and played.start is not None and played.end is not None
                )
                at = user.find(sounds[line][4000:8000]) // 2 - 2000
                first, last = stretch(sounds[line])
                assert abs(spoken_.start - (at + first)) <= 0.02 * pcm.RATE, (spoken_.start, at + first)
                assert abs(spoken_.end - (at + last)) <= 0.02 * pcm.RATE, (spoken_.end, at + last)
                first, last = stretch(agent[played.start * 2 : played.end * 2])
                assert not any(agent[played.start * 2 - 640 : played.start * 2])
            assert {turn.input.spoken.recognizer for turn in held.turns if turn.input.spoken} <= {"whisper-tiny.en", ""}

    run(scenario())


def test_what_is_personal_in_real_speech_is_muted_before_anybody_without_the_right_hears_it() -> None:
    """The number's own samples are silent, and the recogniser hears nothing of it any more."""

    async def scenario() -> None:
        async with serving(WORKSHOP) as talk:
            started = talk().started
            engines = await started.engines()
            before, number, after = [
                await spoken(engines.synthesizer, text)
                for text in (
                    "My number is",
                    "oh seven seven double oh, nine hundred, four six one",
                    "thank you very much.",
                )
            ]
            held = await Exchange(started, Tongue()).call(Speak(before + number + after, ""))
            await started.work.run_due()
            services, conversation = started.services, held.found.conversation
            raw = await held.sound("user")
            view = await services.conversations.recording(
                OPERATOR, conversation.agent_id, conversation.id, direction="user", is_redacted=True, is_mono=False
            )
            redacted = b"".join([piece async for piece in view.read(wav.HEADER_BYTES, view.size)])
            start = raw.find(number[4000:12000]) - 4000
            assert start > 0 and not any(redacted[start : start + len(number)])
            assert len(redacted) == len(raw) and redacted != raw and any(redacted)
            from vivavoce.speech.interface import Hints

            listening = engines.recognizer.listen(Hints())
            listening.feed(redacted)
            text = (await listening.finish()).text
            assert not set(pieces(text)) & {"seven", "double", "nine", "hundred", "four", "six", "07700", "461"}, text

    run(scenario())


def test_a_server_that_is_killed_in_a_call_has_its_recording_to_the_last_second(tmp_path: Path) -> None:
    async def call(address: str) -> str:
        async with aiohttp.ClientSession(headers={"X-API-KEY": KEY}) as session:
            body = {"clientEnv": "sandbox"}
            async with session.post(f"{address}/v1/agents/bike-workshop/calls", json=body) as reply:
                assert reply.status == 201, await reply.text()
                invited = await reply.json()
            async with session.ws_connect(address + invited["path"]) as socket:
                await socket.send_str('{"type":"start"}')
                noise = np.random.default_rng(1).normal(0, 0.05, pcm.FRAME)
                began = time.monotonic()
                while time.monotonic() - began < 4.0:
                    await socket.send_bytes(pcm.of_floats(noise))
                    await asyncio.sleep(0.02)
                server.kill()
            return str(invited["conversationId"])

    async def after(address: str, id_: str) -> tuple[dict[str, Any], bytes]:
        async with aiohttp.ClientSession(headers={"X-API-KEY": KEY}) as session:
            path = f"{address}/v1/agents/bike-workshop/conversations/{id_}"
            async with session.get(path) as reply:
                found = await reply.json()
            async with session.get(path + "/audio") as reply:
                assert reply.status == 200, await reply.text()
                return found, await reply.read()

    server = Process(str(WORKSHOP), "--data", str(tmp_path), "--model", "local")
    id_ = run(call(server.address))
    (left,) = (tmp_path / "spool").glob("*.wav")
    assert wav.parsed(left.read_bytes()).channels == 2  # valid as it lies there
    again = Process(str(WORKSHOP), "--data", str(tmp_path), "--model", "local")
    try:
        found, sound = run(after(again.address, id_))
    finally:
        again.stop()
    layout = wav.parsed(sound)
    assert 2.5 <= layout.data_bytes / (4 * pcm.RATE) <= 4.2, json.dumps(found)[:300]
    assert found["endReason"] == "lost" and found["turns"][0]["agent_response"].startswith("Hello, this is Spoke")
