"""What every engine that recognises, speaks or tells speech from silence does, and what hosted ones make of a provider that misbehaves."""

from __future__ import annotations

import asyncio
import re
import socket
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.support.speech_servers import CONFIDENCE, KEY, speech_server
from vivavoce.audio import pcm
from vivavoce.speech import espeak
from vivavoce.speech.cartesia import CartesiaSynthesizer
from vivavoce.speech.deepgram import MOST_KEYTERM_BYTES, MOST_WAITING_BYTES, DeepgramRecognizer
from vivavoce.speech.elevenlabs import ElevenLabsSynthesizer
from vivavoce.speech.fallback import REST_SECONDS, FallbackRecognizer, FallbackSynthesizer
from vivavoce.speech.hibari import HibariSynthesizer
from vivavoce.speech.interface import (
    Hints,
    Recognizer,
    SpeechError,
    Synthesizer,
    Transcript,
    Unspeakable,
    Voice,
    VoiceActivity,
)
from vivavoce.speech.loudness import LoudnessActivity
from vivavoce.speech.openai import OpenAIRecognizer, OpenAISynthesizer
from vivavoce.speech.scripted import ScriptedRecognizer, ScriptedSynthesizer, Tongue
from vivavoce.speech.silero import SileroActivity
from vivavoce.speech.whisper import WhisperRecognizer

TEXT = "my name is John and I live in London"
PRIVATE = "my card ends in 4711"
SHORT = 0.3  # seconds that a hosted engine waits where nobody answers
BUSY = "the provider is busy"

run = asyncio.run


@cache
def whisper() -> WhisperRecognizer:
    """One for all tests: it is slow to load."""
    return WhisperRecognizer()


@cache
def hibari() -> HibariSynthesizer:
    return HibariSynthesizer()


@pytest.fixture(autouse=True, scope="module")
def _closed_at_the_end() -> Iterator[None]:
    yield
    for made in (whisper, hibari):
        if made.cache_info().currsize:
            run(made().close())


async def spoken(engine: Synthesizer, text: str, voice: Voice | None = None) -> bytes:
    return b"".join([sound.pcm async for sound in engine.speak(text, voice or Voice())])


@cache
def human(text: str) -> bytes:
    """As near to it as this machine comes."""
    with ThreadPoolExecutor(1) as pool:  # the caller may be in a loop of its own
        return pool.submit(run, spoken(hibari(), text)).result()


def toned(tongue: Tongue, text: str) -> bytes:
    """Each word a tone, with a pause after the fourth."""
    words = [ScriptedSynthesizer(tongue).sound(word) for word in text.split()]
    return b"".join([*words[:4], pcm.silence(pcm.RATE // 2), *words[4:]])


def plain(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower())


async def heard(engine: Recognizer, sound: bytes, hints: Hints | None = None) -> Transcript:
    """Fed as a call feeds it: frame by frame, while the engine gets its turns."""
    listening = engine.listen(hints or Hints())
    for at in range(0, len(sound), pcm.FRAME_BYTES):
        listening.feed(sound[at : at + pcm.FRAME_BYTES])
        await asyncio.sleep(0)
    try:
        return await listening.finish()
    finally:
        await listening.close()


def hosted(kind: str, url: str, key: str = KEY, timeout: float = 5.0) -> Any:
    if kind == "deepgram":
        return DeepgramRecognizer(key=key, base_url=url.replace("http", "ws", 1), timeout=timeout)
    if kind == "openai-recognizer":
        return OpenAIRecognizer(key=key, base_url=f"{url}/v1/", timeout=timeout)
    if kind == "openai":
        return OpenAISynthesizer(key=key, base_url=f"{url}/v1", timeout=timeout)
    if kind == "elevenlabs":
        return ElevenLabsSynthesizer(key=key, base_url=url, timeout=timeout)
    return CartesiaSynthesizer(key=key, base_url=url, timeout=timeout)


async def asked(kind: str, url: str, *, key: str = KEY, timeout: float = 5.0, language: str = "en") -> Any:
    """What comes of asking a hosted engine for what it is for."""
    engine = hosted(kind, url, key, timeout)
    try:
        if hasattr(engine, "listen"):
            return await heard(engine, toned(Tongue(), PRIVATE), Hints(language=language))
        return await spoken(engine, PRIVATE, Voice(language=language))
    finally:
        await engine.close()


# Recognizer

HOSTED_RECOGNIZERS = ["deepgram", "openai-recognizer"]
HOSTED_SYNTHESIZERS = ["openai", "elevenlabs", "cartesia"]
RECOGNIZERS = ["scripted", "whisper", *HOSTED_RECOGNIZERS, "fallback"]


def always(error: Callable[[], SpeechError]) -> dict[int, SpeechError]:
    return {number: error() for number in range(20)}


@asynccontextmanager
async def recognizer(kind: str) -> AsyncIterator[tuple[Recognizer, Callable[[str], bytes]]]:
    """The engine, and somebody whom it understands."""
    tongue = Tongue()
    if kind == "whisper":
        yield whisper(), human
        return
    if kind in HOSTED_RECOGNIZERS:
        async with speech_server(tongue) as server:
            engine = hosted(kind, server.url)
            yield engine, lambda text: toned(tongue, text)
            await engine.close()
        return
    scripted = ScriptedRecognizer(tongue)
    broken = ScriptedRecognizer(tongue, name="broken", fails=always(lambda: SpeechError(BUSY)))
    engine = scripted if kind == "scripted" else FallbackRecognizer((broken, scripted))
    yield engine, lambda text: toned(tongue, text)
    await engine.close()


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_what_is_said_is_heard(kind: str) -> None:
    async def check() -> None:
        async with recognizer(kind) as (engine, say):
            transcript = await heard(engine, say(TEXT))
        assert plain(transcript.text) == plain(TEXT) and transcript.alternatives[0] == transcript.text
        assert transcript.engine and transcript.language == "en" and transcript.words == ()
        assert transcript.confidence is not None and 0.5 < transcript.confidence <= 1

    run(check())


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_words_have_times_that_increase_within_the_sound(kind: str) -> None:
    async def check() -> None:
        async with recognizer(kind) as (engine, say):
            sound = say(TEXT)
            transcript = await heard(engine, sound, Hints(needs_words=True))
        assert [plain(word.text) for word in transcript.words] == plain(TEXT).split()
        assert all(word.start < word.end for word in transcript.words)
        assert all(one.end <= next_.start + 0.001 for one, next_ in pairwise(transcript.words))
        assert transcript.words[0].start >= 0 and transcript.words[-1].end <= pcm.seconds(sound) + 0.1
        if kind != "whisper":  # by whose ear words touch
            pause = transcript.words[4].start - transcript.words[3].end
            assert pause == pytest.approx(0.5, abs=0.11)

    run(check())


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_where_nothing_is_said_there_is_no_text(kind: str) -> None:
    async def check() -> None:
        async with recognizer(kind) as (engine, _):
            for sound in (b"", pcm.SILENCE, pcm.silence(2 * pcm.RATE)):
                transcript = await heard(engine, sound)
                assert (transcript.text, transcript.alternatives, transcript.words) == ("", (), ())

    run(check())


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_a_listening_can_be_closed_at_any_time_and_again(kind: str) -> None:
    async def check() -> None:
        async with recognizer(kind) as (engine, say):
            for steps in ("close", "feed close", "feed pause close", "feed pause feed finish close close"):
                listening = engine.listen(Hints())
                for step in steps.split():
                    if step == "feed":
                        listening.feed(say("yes please"))
                    elif step == "pause":
                        listening.pause()
                    elif step == "finish":
                        assert (await listening.finish()).text
                    else:
                        await listening.close()

    run(check())


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_a_pause_changes_nothing_about_what_is_heard(kind: str) -> None:
    async def check() -> None:
        async with recognizer(kind) as (engine, say):
            listening = engine.listen(Hints())
            for frame in (say(TEXT), pcm.SILENCE):
                listening.feed(frame)
                listening.pause()
            listening.feed(pcm.SILENCE)
            assert plain((await listening.finish()).text) == plain(TEXT)
            await listening.close()

    run(check())


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_utterances_are_heard_side_by_side(kind: str) -> None:
    async def check() -> None:
        texts = ("yes please", "the meeting is on Monday morning")
        async with recognizer(kind) as (engine, say):
            found = await asyncio.gather(*(heard(engine, say(text)) for text in texts))
        assert [plain(transcript.text) for transcript in found] == [plain(text) for text in texts]

    run(check())


@pytest.mark.parametrize("kind", ["whisper", *HOSTED_RECOGNIZERS])
def test_a_language_that_the_recognizer_lacks_is_an_error_and_not_silence(kind: str) -> None:
    async def check() -> None:
        async with recognizer(kind) as (engine, say):
            with pytest.raises(SpeechError):
                await heard(engine, say("yes please"), Hints(language="xx"))

    run(check())


@pytest.mark.parametrize("kind", HOSTED_RECOGNIZERS)
def test_nobody_waits_for_the_network_while_somebody_speaks(kind: str) -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            server.failure = "hang"
            engine = hosted(kind, server.url, timeout=SHORT)
            listening = engine.listen(Hints())
            for _ in range(3000):  # a minute
                listening.feed(pcm.SILENCE)
            with pytest.raises(SpeechError, match=f"did not answer within {SHORT:g} s"):
                await listening.finish()
            await listening.close()
            await engine.close()

    run(check())


def test_deepgram_gives_up_when_sound_piles_up() -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            server.failure = "hang"
            engine = hosted("deepgram", server.url)
            listening = engine.listen(Hints())
            for _ in range(2):
                listening.feed(bytes(MOST_WAITING_BYTES))
            with pytest.raises(SpeechError, match="as fast as it comes"):
                await listening.finish()
            await engine.close()

    run(check())


def test_deepgram_gets_the_sound_while_it_is_spoken_and_one_goodbye() -> None:
    async def check() -> None:
        tongue = Tongue()
        async with speech_server(tongue) as server:
            engine = hosted("deepgram", server.url)
            listening = engine.listen(Hints())
            for _ in range(3):
                before = len(server.messages)
                listening.feed(pcm.SILENCE)
                while len(server.messages) == before:
                    await asyncio.sleep(0)
            listening.feed(ScriptedSynthesizer(tongue).sound("hello"))
            assert (await listening.finish()).text == "hello" and (await listening.finish()).text == "hello"
            await engine.close()
        assert [m for m in server.messages if m != "audio"] == ["Finalize", "CloseStream", "gone"]

    run(check())


def test_deepgram_is_left_alone_as_soon_as_an_utterance_is_given_up() -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server, asyncio.timeout(5):
            engine = hosted("deepgram", server.url)
            listening = engine.listen(Hints())
            listening.feed(pcm.SILENCE)
            while "audio" not in server.messages:
                await asyncio.sleep(0)
            await listening.close()
            while "gone" not in server.messages:
                await asyncio.sleep(0)
            await engine.close()

    run(check())


def test_deepgram_is_not_waited_for_when_there_is_nothing_left_to_finalize() -> None:
    """Its `Finalize` then has no answer."""

    async def check() -> None:
        tongue = Tongue()
        async with speech_server(tongue) as server:
            engine = hosted("deepgram", server.url)
            listening = engine.listen(Hints())
            listening.feed(ScriptedSynthesizer(tongue).sound("hello") + pcm.silence(pcm.RATE // 2))
            listening.feed(pcm.SILENCE)
            assert (await listening.finish()).text == "hello"
            await engine.close()

    run(check())


def test_deepgram_is_asked_for_a_region_only_where_it_lists_one() -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            engine = hosted("deepgram", server.url)
            for language in ("de-DE", "fr-FR", "en-GB"):
                await heard(engine, pcm.SILENCE, Hints(language=language))
            await engine.close()
        assert [value for asked in server.asked for name, value in asked.query if name == "language"] == [
            "de",
            "fr",
            "en-GB",
        ]

    run(check())


PHRASES = (("table for two", 1.0), ("Viva: Voce", 3.0), ("\ud800", 1.0), ("x" * 2 * MOST_KEYTERM_BYTES, 2.0))


def test_phrases_are_given_to_deepgram_as_its_model_takes_them() -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            engine = hosted("deepgram", server.url)
            await heard(engine, pcm.SILENCE, Hints(phrases=PHRASES[:3]))
            await heard(engine, pcm.SILENCE, Hints(phrases=PHRASES))
            await heard(engine, pcm.SILENCE, Hints(phrases=PHRASES[:2], model="nova-2-phonecall", language="en-GB"))
            await engine.close()
        keyterms = [[value for name, value in asked.query if name == "keyterm"] for asked in server.asked]
        assert keyterms == [["Viva: Voce", "table for two", "?"], ["Viva: Voce"], []]
        assert [value for name, value in server.asked[2].query if name == "keywords"] == [
            "Viva:3",
            "Voce:3",
            "table:1",
            "for:1",
            "two:1",
        ]
        assert {("model", "nova-2-phonecall"), ("language", "en-GB")} <= set(server.asked[2].query)
        assert ("model", "nova-3") in server.asked[0].query

    run(check())


def test_phrases_are_given_to_openai_as_its_model_takes_them() -> None:
    async def check() -> None:
        tongue = Tongue()
        async with speech_server(tongue) as server:
            engine = hosted("openai-recognizer", server.url)
            sound = toned(tongue, "hello")
            transcript = await heard(engine, sound, Hints(phrases=PHRASES, language="en-GB"))
            await heard(engine, sound, Hints(phrases=PHRASES, needs_words=True))
            await heard(engine, sound, Hints(model="gpt-4o-transcribe"))
            await engine.close()
        fields = [{name: value for name, (value,) in a.fields.items() if name != "file"} for a in server.asked]
        assert transcript.confidence == pytest.approx(CONFIDENCE, abs=0.001)
        assert fields[0] == {
            "model": "gpt-4o-mini-transcribe",
            "language": "en",
            "prompt": "Expect these words: Viva: Voce, table for two, ?.",
            "response_format": "json",
            "include[]": "logprobs",
        }
        assert fields[1] == {
            "model": "whisper-1",
            "language": "en",
            "prompt": "Viva: Voce, table for two, ?",
            "response_format": "verbose_json",
            "timestamp_granularities[]": "word",
        }
        assert fields[2]["model"] == "gpt-4o-transcribe" and "prompt" not in fields[2]

    run(check())


# Synthesizer

SYNTHESIZERS = [
    "scripted",
    "hibari",
    *HOSTED_SYNTHESIZERS,
    "fallback",
    *([espeak.NAME] if espeak.is_installed() else []),
]


@asynccontextmanager
async def synthesizer(kind: str) -> AsyncIterator[tuple[Synthesizer, Recognizer]]:
    """The engine, and somebody who understands it."""
    tongue = Tongue()
    recognizer = ScriptedRecognizer(tongue)
    if kind == "hibari":
        yield hibari(), whisper()
        return
    if kind == espeak.NAME:
        yield espeak.EspeakSynthesizer(), whisper()
        return
    if kind in HOSTED_SYNTHESIZERS:
        async with speech_server(tongue) as server:
            engine = hosted(kind, server.url)
            yield engine, recognizer
            await engine.close()
        return
    scripted = ScriptedSynthesizer(tongue)
    engine = scripted if kind == "scripted" else FallbackSynthesizer((_Mute("broken", "scripted"), scripted))
    yield engine, recognizer
    await engine.close()


class _Mute:
    """Fails before any sound is there; remembers the voices that it was given."""

    def __init__(self, name: str, provider: str, error: Callable[[], SpeechError] = lambda: SpeechError(BUSY)) -> None:
        self.name, self.provider, self.error = name, provider, error
        self.voices: list[Voice] = []

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Any]:
        self.voices.append(voice)
        if not any(c.isalnum() for c in text):
            raise Unspeakable("nothing to say")
        raise self.error()
        yield

    async def close(self) -> None: ...


@pytest.mark.parametrize("kind", SYNTHESIZERS)
def test_sound_comes_in_pieces_of_whole_samples_with_the_name_of_their_engine(kind: str) -> None:
    async def check() -> None:
        async with synthesizer(kind) as (engine, _):
            sounds = [sound async for sound in engine.speak("A table for four, please. Tomorrow evening.", Voice())]
        assert sounds and all(sound.pcm and len(sound.pcm) % pcm.SAMPLE_BYTES == 0 for sound in sounds)
        assert len({sound.engine for sound in sounds}) == 1
        assert kind == "fallback" or sounds[0].engine == engine.name
        assert 0.5 < pcm.seconds(b"".join(sound.pcm for sound in sounds)) < 10

    run(check())


@pytest.mark.parametrize("kind", [kind for kind in SYNTHESIZERS if kind != espeak.NAME])  # hard to understand
def test_what_an_engine_says_is_understood(kind: str) -> None:
    async def check() -> None:
        async with synthesizer(kind) as (engine, listener):
            for text in ("yes please", TEXT):
                assert plain((await heard(listener, await spoken(engine, text))).text) == plain(text)

    run(check())


@pytest.mark.parametrize("kind", HOSTED_SYNTHESIZERS)
def test_no_sound_is_lost_on_the_way(kind: str) -> None:
    async def check() -> None:
        made = ScriptedSynthesizer(Tongue()).sound(TEXT)
        async with speech_server(Tongue()) as server:
            engine = hosted(kind, server.url)
            sounds = [sound.pcm async for sound in engine.speak(TEXT, Voice())]
            await engine.close()
        assert len(sounds) > 1 and len(b"".join(sounds)) == pytest.approx(len(made), abs=64)
        found, wanted = pcm.floats(b"".join(sounds)), pcm.floats(made)[:-64]
        late = max(range(64), key=lambda n: float(np.dot(found[n : n + 2000], wanted[:2000])))  # 2 ms, resampled
        count = min(len(found) - late, len(wanted))
        difference = found[late : late + count] - wanted[:count]
        assert np.sqrt(np.mean(difference**2)) < 0.01  # what resampling adds

    run(check())


@pytest.mark.parametrize("kind", SYNTHESIZERS)
@pytest.mark.parametrize("text", ["", " \n", "...", "—!?", "🙂"])
def test_text_without_letters_or_digits_is_unspeakable(kind: str, text: str) -> None:
    async def check() -> None:
        async with synthesizer(kind) as (engine, _):
            with pytest.raises(Unspeakable):
                await spoken(engine, text)

    run(check())


@pytest.mark.parametrize("kind", SYNTHESIZERS)
def test_speech_can_be_broken_off(kind: str) -> None:
    async def check() -> None:
        async with synthesizer(kind) as (engine, _):
            for _ in range(2):
                async with aclosing(engine.speak(TEXT, Voice())) as sounds:  # type: ignore[type-var]
                    async for _sound in sounds:
                        break
            assert await spoken(engine, "yes please")

    run(check())


@pytest.mark.parametrize("kind", ["hibari", "cartesia"])
def test_a_language_that_the_synthesizer_lacks_is_an_error_and_not_silence(kind: str) -> None:
    async def check() -> None:
        async with synthesizer(kind) as (engine, _):
            with pytest.raises(SpeechError):
                await spoken(engine, "yes please", Voice(language="xx-YY"))

    run(check())


HOSTILE_IDS = ["../../v1/voices", "a b", "x?y=z", "x\r\nhost: y", "", "é", "x" * 65]


@pytest.mark.parametrize("kind", HOSTED_SYNTHESIZERS)
def test_a_voice_that_could_be_none_of_the_providers_is_refused_before_anything_is_sent(kind: str) -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            engine = hosted(kind, server.url)
            for hostile in filter(None, HOSTILE_IDS):
                with pytest.raises(Unspeakable) as found:
                    await spoken(engine, "yes please", Voice(provider=kind, id=hostile))
                assert hostile not in str(found.value)
            with pytest.raises(Unspeakable):
                await spoken(engine, "yes please", Voice(provider="another"))
            await engine.close()
            assert server.asked == []

    run(check())


HOSTILE = {"speed": "fast; drop", "stability": True, "volume": float("nan"), "emotion": "<break/>", "text": "other"}
HOSTILE |= {"model_id": "../x", "similarity_boost": [1], "input": "other", "voice": "other"}


@pytest.mark.parametrize("kind", HOSTED_SYNTHESIZERS)
def test_parameters_that_are_unknown_or_of_another_type_are_not_sent(kind: str) -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            engine = hosted(kind, server.url)
            await spoken(engine, "yes please", Voice(parameters=HOSTILE))
            await spoken(engine, "yes please")
            await engine.close()
        assert server.asked[0].fields == server.asked[1].fields

    run(check())


def test_voices_are_described_to_each_provider_in_its_own_words() -> None:
    async def check() -> None:
        parameters = {"speed": 1.1, "stability": 0.4, "similarity_boost": 2, "volume": 1.5, "emotion": "happy"}
        async with speech_server(Tongue()) as server:
            for kind, id_ in (
                ("openai", "nova"),
                ("elevenlabs", "abc123"),
                ("cartesia", "a-b-c"),
                ("openai", "voice_7"),
            ):
                engine = hosted(kind, server.url)
                await spoken(
                    engine, "yes \ud800", Voice(provider=kind, id=id_, language="de-AT", parameters=parameters)
                )
                await engine.close()
            engine = hosted("elevenlabs", server.url)
            await spoken(engine, "yes", Voice(parameters={"model_id": "eleven_multilingual_v2"}))
            await engine.close()
            engine = hosted("cartesia", server.url)
            await spoken(engine, "yes", Voice(parameters={"model_id": "sonic-turbo", "speed": "slow"}))
            await engine.close()
        openai, elevenlabs, cartesia, own, without, words = server.asked
        assert openai.fields == {
            "model": "gpt-4o-mini-tts",
            "input": "yes ?",
            "voice": "nova",
            "response_format": "pcm",
            "speed": 1.1,
        }
        assert elevenlabs.path == "/v1/text-to-speech/abc123/stream" and elevenlabs.fields == {
            "text": "yes ?",
            "model_id": "eleven_flash_v2_5",
            "language_code": "de",
            "voice_settings": {"stability": 0.4, "similarity_boost": 1.0, "speed": 1.1},
        }
        assert cartesia.fields == {
            "model_id": "sonic-3",
            "transcript": "yes ?",
            "voice": {"mode": "id", "id": "a-b-c"},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
            "language": "de",
            "generation_config": {"speed": 1.1, "volume": 1.5, "emotion": "happy"},
        }
        assert own.fields["voice"] == {"id": "voice_7"}
        assert without.fields == {"text": "yes", "model_id": "eleven_multilingual_v2"}
        assert (words.fields["model_id"], words.fields["speed"]) == ("sonic-turbo", "slow")
        assert "generation_config" not in words.fields

    run(check())


def test_openai_is_not_asked_for_more_text_than_it_takes() -> None:
    async def check() -> None:
        engine = OpenAISynthesizer(key=KEY)
        with pytest.raises(Unspeakable, match="4,096 characters"):
            await spoken(engine, "x" * 4_097)
        await engine.close()

    run(check())


# What providers do

VARIABLES = {
    "deepgram": "DEEPGRAM_API_KEY",
    "openai-recognizer": "OPENAI_API_KEY",
    "openai": "OPENAI_API_KEY",
    "elevenlabs": "ELEVENLABS_API_KEY",
    "cartesia": "CARTESIA_API_KEY",
}
FAILURES: list[tuple[int | str, bool]] = [
    (307, False),
    (400, False),
    (401, False),
    (402, False),
    (403, False),
    (404, False),
    (429, True),
    (500, True),
    (503, True),
    ("cut", True),
    ("hang", True),
    ("garbage", True),
    ("shape", True),
]


def check_error(error: SpeechError, is_retryable: bool) -> None:
    assert error.retryable is is_retryable and not isinstance(error, Unspeakable)
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
    told = "".join(traceback.format_exception(error)) + repr(error)
    assert KEY not in told and PRIVATE not in told


@pytest.mark.parametrize("kind", [*HOSTED_RECOGNIZERS, *HOSTED_SYNTHESIZERS])
@pytest.mark.parametrize(("failure", "is_retryable"), FAILURES)
def test_a_provider_that_fails_is_a_speech_error_that_keeps_secrets(
    kind: str, failure: int | str, is_retryable: bool
) -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            server.failure = failure
            with pytest.raises(SpeechError) as found:
                await asked(kind, server.url, timeout=SHORT if failure == "hang" else 5.0)
        check_error(found.value, is_retryable)
        assert (VARIABLES[kind] in str(found.value)) is (failure in (401, 403))
        if isinstance(failure, int) and not (failure == 307 and kind == "deepgram"):  # where handshakes are redirected
            assert f"status {failure}" in str(found.value)
        if failure == 429 and kind != "deepgram":
            assert found.value.retry_after == 7

    run(check())


@pytest.mark.parametrize("kind", [*HOSTED_RECOGNIZERS, *HOSTED_SYNTHESIZERS])
def test_a_wrong_key_is_named_by_the_setting_that_holds_it(kind: str) -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            with pytest.raises(SpeechError, match=VARIABLES[kind]) as found:
                await asked(kind, server.url, key="sk-wrong")
        check_error(found.value, False)
        assert "sk-wrong" not in str(found.value)

    run(check())


@pytest.mark.parametrize("kind", [*HOSTED_RECOGNIZERS, *HOSTED_SYNTHESIZERS])
def test_a_provider_that_is_away_is_a_speech_error(kind: str) -> None:
    async def check() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(SpeechError, match="connection") as found:
                await asked(kind, f"http://127.0.0.1:{free.getsockname()[1]}")
        check_error(found.value, True)

    run(check())


@pytest.mark.parametrize("kind", [*HOSTED_RECOGNIZERS, *HOSTED_SYNTHESIZERS])
def test_an_engine_that_was_never_used_can_be_closed_and_a_closed_one_used_again(kind: str) -> None:
    async def check() -> None:
        async with speech_server(Tongue()) as server:
            engine = hosted(kind, server.url)
            for _ in range(2):
                await engine.close()
                if hasattr(engine, "listen"):
                    assert (await heard(engine, pcm.silence(pcm.RATE))).text == ""
                else:
                    assert await spoken(engine, "yes please")
            await engine.close()

    run(check())


# Fallbacks


def test_another_recognizer_hears_the_whole_utterance_when_one_fails_and_the_failed_one_rests() -> None:
    async def check() -> None:
        now, tongue = [0.0], Tongue()
        first = ScriptedRecognizer(tongue, name="first", fails={0: SpeechError(BUSY)})
        second = ScriptedRecognizer(tongue, name="second")
        engine = FallbackRecognizer((first, second), seconds=lambda: now[0])
        found = []
        for seconds in (0.0, REST_SECONDS - 1, REST_SECONDS + 1):
            now[0] = seconds
            found.append(await heard(engine, toned(tongue, TEXT)))
        assert [transcript.text for transcript in found] == [TEXT] * 3
        assert [transcript.engine for transcript in found] == ["second", "second", "first"]

    run(check())


@pytest.mark.parametrize("failure", [401, 500, "cut", "hang", "garbage"])
def test_a_hosted_recognizer_that_fails_is_replaced_within_the_utterance(failure: int | str) -> None:
    async def check() -> None:
        tongue = Tongue()
        async with speech_server(tongue) as broken, speech_server(tongue) as well:
            broken.failure = failure
            first = hosted("deepgram", broken.url, timeout=SHORT if failure == "hang" else 5.0)
            engine = FallbackRecognizer((first, hosted("openai-recognizer", well.url)))
            transcript = await heard(engine, toned(tongue, TEXT), Hints(needs_words=True))
            assert (transcript.text, transcript.engine, len(transcript.words)) == (TEXT, "openai", 9)
            await engine.close()

    run(check())


def test_deepgram_takes_over_an_utterance_that_it_did_not_hear_from_the_beginning() -> None:
    async def check() -> None:
        tongue = Tongue()
        async with speech_server(tongue) as server:
            first = ScriptedRecognizer(tongue, fails={0: SpeechError(BUSY)})
            engine = FallbackRecognizer((first, hosted("deepgram", server.url)))
            assert (await heard(engine, toned(tongue, TEXT))).text == TEXT
            await engine.close()

    run(check())


def test_when_every_recognizer_fails_the_last_error_is_told() -> None:
    async def check() -> None:
        tongue = Tongue()
        engines = [ScriptedRecognizer(tongue, name=n, fails={0: SpeechError(n)}) for n in ("first", "second")]
        with pytest.raises(SpeechError, match="second"):
            await heard(FallbackRecognizer(engines), toned(tongue, TEXT))

    run(check())


def test_another_synthesizer_says_the_whole_text_when_one_fails_and_the_failed_one_rests() -> None:
    async def check() -> None:
        now, tongue = [0.0], Tongue()
        first = _Mute("first", "first")
        engine = FallbackSynthesizer((first, ScriptedSynthesizer(tongue, name="second")), seconds=lambda: now[0])
        for seconds in (0.0, REST_SECONDS - 1, REST_SECONDS + 1):
            now[0] = seconds
            sounds = [sound async for sound in engine.speak(TEXT, Voice())]
            assert {sound.engine for sound in sounds} == {"second"}
        assert len(first.voices) == 2

    run(check())


def test_a_text_that_nobody_can_say_lets_no_engine_rest() -> None:
    async def check() -> None:
        first = _Mute("first", "first", lambda: Unspeakable("no"))
        engine = FallbackSynthesizer((first, ScriptedSynthesizer(Tongue())), seconds=lambda: 0.0)
        for _ in range(2):
            assert await spoken(engine, TEXT)
        assert len(first.voices) == 2

    run(check())


def test_a_voice_is_handed_to_the_engine_of_its_provider_only() -> None:
    async def check() -> None:
        tongue = Tongue()
        second = _Mute("second", "elevenlabs")
        third = ScriptedSynthesizer(tongue)
        engine = FallbackSynthesizer((_Mute("first", "cartesia"), second, third), seconds=lambda: 0.0)
        voice = Voice(language="de", provider="elevenlabs", id="abc", parameters={"stability": 0.4})
        assert await spoken(engine, TEXT, voice)
        assert second.voices == [voice]
        assert third.spoken == [(TEXT, Voice(language="de"))]

    run(check())


@pytest.mark.parametrize("failure", [401, 500, "cut", "garbage"])
def test_a_hosted_synthesizer_that_fails_is_replaced_by_one_with_a_voice_of_its_own(failure: int | str) -> None:
    async def check() -> None:
        tongue = Tongue()
        async with speech_server(tongue) as broken, speech_server(tongue) as well:
            broken.failure = failure
            engine = FallbackSynthesizer((hosted("elevenlabs", broken.url), hosted("cartesia", well.url)))
            voice = Voice(provider="elevenlabs", id="abc", parameters={"stability": 0.4})
            sounds = [sound async for sound in engine.speak(TEXT, voice)]
            whole = b"".join(sound.pcm for sound in sounds if sound.engine == "cartesia")
            assert (await heard(ScriptedRecognizer(tongue), whole)).text == TEXT
            assert well.asked[0].fields["voice"]["id"] != "abc" and "abc" in broken.asked[0].path
            await engine.close()

    run(check())


# VoiceActivity

ACTIVITIES: list[Callable[[], VoiceActivity]] = [SileroActivity, LoudnessActivity]


def shares(activity: VoiceActivity, sound: bytes) -> list[float]:
    detector = activity.detector()
    return [detector.hear(sound[at : at + pcm.FRAME_BYTES]) for at in range(0, len(sound), pcm.FRAME_BYTES)]


@pytest.mark.parametrize("made", ACTIVITIES)
def test_speech_is_told_from_silence(made: Callable[[], VoiceActivity]) -> None:
    activity = made()
    assert max(shares(activity, pcm.silence(2 * pcm.RATE))) < 0.1
    found = shares(activity, pcm.silence(pcm.RATE // 2) + human(TEXT) + pcm.silence(pcm.RATE // 2))
    assert all(0 <= share <= 1 for share in found)
    assert sum(share > 0.5 for share in found) > 0.4 * len(found)
    assert max(found[:20]) < 0.5 and found[-1] < 0.5


@pytest.mark.parametrize("made", ACTIVITIES)
def test_each_stream_of_sound_has_a_detector_of_its_own(made: Callable[[], VoiceActivity]) -> None:
    activity = made()
    alone = shares(activity, human(TEXT))
    one, other = activity.detector(), activity.detector()
    both = []
    for at in range(0, len(human(TEXT)), pcm.FRAME_BYTES):
        both.append(one.hear(human(TEXT)[at : at + pcm.FRAME_BYTES]))
        other.hear(pcm.SILENCE)
    assert both == pytest.approx(alone)


def test_silero_does_not_take_loud_noise_for_speech() -> None:
    noise = pcm.of_floats(np.random.default_rng(1).normal(0, 0.2, 2 * pcm.RATE))
    assert max(shares(SileroActivity(), noise)) < 0.3
    assert max(shares(LoudnessActivity(), noise)) > 0.9  # which is why it is only a fallback
