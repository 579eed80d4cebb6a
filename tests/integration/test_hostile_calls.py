"""Calls that others meddle with: erased under way, stored while they are erased, fed with what is hostile or hardly heard."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.test_calls import ACT, HANDOFFS, acting
from tests.support.calls import BARGE_IN, VOICE, Held, exchange
from tests.support.talk import run, write
from vivavoce.audio import pcm, tones, wav
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, Order
from vivavoce.errors import ConversationNotFound, Invalid, Unavailable
from vivavoce.recordings.interface import Name
from vivavoce.recordings.objects import ObjectRecordings, path_of
from vivavoce.service.chats import Opening
from vivavoce.service.invitations import TooManyCalls
from vivavoce.service.keys import OPERATOR
from vivavoce.service.recordings import RecordingNotFound
from vivavoce.speech.scripted import ScriptedSynthesizer, Tongue
from vivavoce.voice.pace import RealTime
from vivavoce.voice.simulated import HangUp, Press, SimulatedCaller, Speak, Wait

READER = Principal(key_id="r", account_id="acme", permissions=frozenset(("read",)), agents=frozenset(("tiny",)))


async def redacted(held: Held, side: str) -> bytes:
    found = held.found.conversation
    view = await held.started.services.conversations.recording(
        READER,
        found.agent_id,
        found.id,
        direction=side,
        is_redacted=False,
        is_mono=False,  # type: ignore[arg-type]
    )
    return b"".join([piece async for piece in view.read(wav.HEADER_BYTES, view.size)])


def test_erasing_a_conversation_ends_its_call_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path / "agent", VOICE), data=tmp_path / "data") as phone:
            line = SimulatedCaller([phone.say("a secret word"), Wait(), Wait()])
            calling = asyncio.ensure_future(
                phone.started.services.calls.hold(
                    OPERATOR, "tiny", Opening(environment="sandbox", id="gone"), line, pace=RealTime()
                )
            )
            while not any(told.get("role") == "user" for told in line.told):
                await asyncio.sleep(0.02)
            await phone.started.services.erasure.conversation(OPERATOR, "tiny", "gone")
            ended = await asyncio.wait_for(calling, 5)
            assert ended.reason == "client" and line.is_hung_up
            assert not list((tmp_path / "data" / "spool").iterdir())
            assert not (tmp_path / "data" / "recordings" / path_of(Name("acme", "tiny", "gone"))).exists()
            with pytest.raises(ConversationNotFound):
                await phone.started.services.conversations.get(OPERATOR, "tiny", "gone")
            gc.collect()
            held = [str(place.readlink()) for place in Path("/proc/self/fd").iterdir() if place.is_symlink()]
            assert not [name for name in held if str(tmp_path) in name and ("/spool/" in name or "deleted" in name)]

    run(scenario())


def test_a_recording_that_is_being_stored_when_it_is_erased_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, storing, go_on = ObjectRecordings.put, asyncio.Event(), asyncio.Event()

    async def slow(self: ObjectRecordings, *arguments: Any) -> None:
        storing.set()
        await go_on.wait()
        await put(self, *arguments)

    monkeypatch.setattr(ObjectRecordings, "put", slow)

    async def scenario() -> None:
        async with exchange(write(tmp_path / "agent", VOICE), data=tmp_path / "data") as phone:
            calling = asyncio.ensure_future(phone.call("a secret word", id="gone"))
            await storing.wait()
            erasing = asyncio.ensure_future(phone.started.services.erasure.conversation(OPERATOR, "tiny", "gone"))
            await asyncio.sleep(0.05)
            go_on.set()
            receipt = await erasing
            await asyncio.gather(calling, return_exceptions=True)
            assert receipt.removed["recordings"] == 1
            assert not [p for p in (tmp_path / "data" / "recordings").rglob("*") if p.is_file()]
            await phone.call("other words", id="gone")
            sound = await phone.started.services.conversations.recording(
                OPERATOR, "tiny", "gone", direction="user", is_redacted=False, is_mono=False
            )
            assert phone.say("a secret word").sound not in b"".join([p async for p in sound.read(44, sound.size)])

    run(scenario())


@pytest.mark.parametrize("offset", [0, 80, 112, 160, 224])  # samples into a frame
@pytest.mark.parametrize("louder", [1.0, 0.7])  # one of a tone's two frequencies against the other
def test_no_tone_of_secret_keys_is_recorded_however_it_lies_and_sounds(
    tmp_path: Path, offset: int, louder: float
) -> None:
    step = "step_type: advanced_step\nname: Card\nprompt: Ask.\ndtmf_config: {is_enabled: true, is_pii: true, max_digits: 4}\n"
    files = {
        **VOICE,
        "functions/start_function.py": "def start_function(conv):\n    conv.goto_flow('Pay')\n    return {'utterance': 'Key in your card'}\n",
        "flows/pay/flow_config.yaml": "name: Pay\ndescription: d\nstart_step: Card\n",
        "flows/pay/steps/card.yaml": step,
    }
    time = np.arange(2400) / pcm.RATE
    key = pcm.of_floats(0.2 * np.sin(2 * np.pi * 770 * time) + 0.2 * louder * np.sin(2 * np.pi * 1209 * time))

    class InBand(SimulatedCaller):
        """The tone is heard a moment before the carrier tells of the key."""

        def take(self) -> Any:
            arrived = super().take()
            if arrived.keys:
                self._sound = pcm.silence(offset) + key
            return arrived

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), 'rules: []\notherwise: "Thank you"') as phone:
            line = InBand([Press("4111")])
            await phone.call(line=line)
            calls = await phone.started.services.conversations.page(
                OPERATOR, "tiny", Criteria(),
                Order(by="started_at"), limit=1,
            )  # fmt: skip
            id_ = calls.items[0].conversation.id
            view = await phone.started.services.conversations.recording(
                OPERATOR, "tiny", id_, direction="user", is_redacted=False, is_mono=False
            )
            user = b"".join([p async for p in view.read(44, view.size)])
            assert not any(user)

    run(scenario())


def test_keys_stay_secret_when_the_step_is_left_before_the_entry_is_complete(tmp_path: Path) -> None:
    """The entry is what it was begun as, whatever is said meanwhile."""
    from vivavoce.voice import dtmf

    keypad = dtmf.Keypad(dtmf.Settings(is_secret=True, between=2.0))
    keypad.press("4", 0.0)
    keypad.settle(dtmf.Settings())
    keypad.press("1", 0.5)
    entry = keypad.tick(3.0)
    assert entry is not None and entry.is_secret and entry.digits == "41"
    keypad.press("5", 4.0)
    assert (rest := keypad.tick(7.0)) is not None and not rest.is_secret


def test_a_number_that_was_keyed_in_is_not_heard_in_the_redacted_recording(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            keys = Speak(b"".join(tones.tone(key, seconds=0.15) + pcm.silence(800) for key in "07700900461"), "")
            held = await phone.call(keys, Press("07700900461#"))
            await phone.started.work.run_due()
            sound = await redacted(held, "user")
            spoken = next(turn.input.spoken for turn in held.turns if turn.input.dtmf)
            assert spoken is not None and not any(sound[spoken.start * 2 : spoken.end * 2])

    run(scenario())


def test_half_a_number_that_an_interruption_left_is_not_heard_either(tmp_path: Path) -> None:
    number = (
        "Your number is 07700900461, and that is what we will ring you on in the course of the day, if it suits you"
    )
    model = f'rules: [{{when: {{said: "tell"}}, say: "{number}"}}]\notherwise: "Certainly"'

    async def scenario() -> None:
        async with exchange(write(tmp_path, {**VOICE, **BARGE_IN}), model) as phone:
            held = await phone.call("tell me", phone.say("stop it", interrupts_after=1.2))
            told = held.turns[1]
            assert told.unplayed and told.played is not None and told.played.start is not None
            await phone.started.work.run_due()
            sound = await redacted(held, "agent")
            assert not any(sound[told.played.start * 2 : (told.played.end or 0) * 2])

    run(scenario())


def test_new_rules_withhold_a_recording_until_it_was_listened_to_by_them(tmp_path: Path) -> None:
    from vivavoce.redaction.finder import OwnRules, Pattern

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            held = await phone.call("we like zebras a lot")
            await phone.started.work.run_due()
            assert any(await redacted(held, "user"))
            rules = OwnRules(patterns=(Pattern(pattern="zebras", category="code"),))
            await phone.started.services.redaction_rules.put(OPERATOR, "tiny", rules)
            with pytest.raises(RecordingNotFound, match="present rules"):
                await redacted(held, "user")
            await phone.started.work.run_due()
            assert not any(await redacted(held, "user"))  # the scripted voice says all of it in one tone

    run(scenario())


def test_what_is_pressed_and_said_while_the_agent_thinks_is_all_answered(tmp_path: Path) -> None:
    slow = acting("import time; time.sleep(1.5); return {'utterance': 'Done'}")

    async def scenario() -> None:
        async with exchange(write(tmp_path, {**slow, **BARGE_IN}), ACT) as phone:

            class Busy(SimulatedCaller):
                pressed = False

                def take(self) -> Any:
                    arrived = super().take()
                    is_thinking = any(t.get("text") == "act" for t in self.told)
                    if is_thinking and not self.pressed:
                        self.pressed = True
                        self._sound = pcm.silence(3200) + phone.say("and more").sound
                        return type(arrived)(arrived.frame, "42#", False)
                    return arrived

            line = Busy([phone.say("act")])
            await phone.call(line=line, pace=RealTime(), id="busy")
            found = await phone.started.services.conversations.get(OPERATOR, "tiny", "busy")
            assert [t.input.text or t.input.dtmf for t in found.turns] == ["", "act", "42", "and more"]

    run(scenario())


def test_a_store_that_fails_once_while_the_cache_is_asked_silences_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vivavoce.service.audio_cache import AudioCache

    async def broken(self: AudioCache, *arguments: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(AudioCache, "find", broken)

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            held = await phone.call("good day")
            assert held.said == [("", "Hello"), ("good day", "You said good day")]

    run(scenario())


def test_what_many_calls_say_at_once_is_kept_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            await asyncio.gather(*(phone.call(f"guest {number}") for number in range(6)))
            cache = phone.started.services.audio_cache
            found, count = await cache.entries(OPERATOR, "tiny", limit=10, offset=0, sort="")
            assert [entry.transcript for entry in found] == ["Hello"] and count == 1

    run(scenario())


def test_calls_that_come_at_once_are_counted_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), calls=2) as phone:
            held = await asyncio.gather(*(phone.call("good day") for _ in range(6)), return_exceptions=True)
            refused = [outcome for outcome in held if isinstance(outcome, BaseException)]
            assert [type(error) for error in refused] == [TooManyCalls] * 4
            assert (await phone.call("good day")).said[-1] == ("good day", "You said good day")

    run(scenario())


def test_words_that_could_not_be_spoken_were_not_heard(tmp_path: Path) -> None:
    from vivavoce.speech.interface import SpeechError

    tongue = Tongue()
    voice = ScriptedSynthesizer(tongue, fails={1: SpeechError("away")})

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), synthesizers=[voice], tongue=tongue) as phone:
            held = await phone.call("one", Wait())
            assert held.turns[1].reply == "" and held.turns[1].unplayed == "You said one"
            assert held.turns[1].messages[-1].content == ""

    run(scenario())


def test_a_conversation_that_was_ended_elsewhere_hangs_up_and_hands_over_to_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, {**VOICE, **HANDOFFS})) as phone:

            class Ended(SimulatedCaller):
                task: Any = None

                def take(self) -> Any:
                    if self._now > 1.0 and self.task is None:
                        self.task = asyncio.ensure_future(phone.started.services.chats.end(OPERATOR, "tiny", "over"))
                    return super().take()

            line = Ended([phone.say("one"), phone.say("two")])
            await phone.call(line=line, pace=RealTime(), id="over")
            found = await phone.started.services.conversations.get(OPERATOR, "tiny", "over")
            assert line.transferred is None and line.is_hung_up and found.conversation.end_reason == "client"

    run(scenario())


def test_nothing_of_a_call_goes_on_after_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, {**VOICE, **BARGE_IN})) as phone:
            await phone.call("warm up")
            before = len(asyncio.all_tasks())
            for _ in range(3):
                await phone.call("good day", phone.say("stop", interrupts_after=0.1), HangUp())
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) <= before

    run(scenario())


@pytest.mark.parametrize(
    "body",
    [
        "return {'utterance': '5' * 100000, 'utterance_channel': 'DTMF', 'hangup': True}",
        "conv.set_voice(CustomVoice('scripted', '../../etc', speed=float('nan'))); return {'utterance': 'hm', 'hangup': True}",
        "return {'utterance': 'hm', 'hangup': True, 'listen': {'dtmf': {'num_digits': 1e300}, 'asr': {'timeout': -5}}}",
        "conv.set_asr_biasing(keywords=['x' * 10000] * 150); return {'utterance': 'hm', 'hangup': True}",
        "return {'utterance': '<speak>' + '<a>' * 20000, 'hangup': True}",
    ],
)
def test_what_author_code_asks_of_a_call_costs_nobody_the_call(tmp_path: Path, body: str) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, acting(body)), ACT) as phone:
            held = await phone.call("act", Wait())
            assert held.ended.reason == "hangup", held.said

    run(scenario())


def test_an_invitation_holds_no_more_than_a_call_needs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            calls = phone.started.services.calls
            with pytest.raises(Invalid, match="KiB"):
                await calls.invite(OPERATOR, "tiny", Opening(environment="sandbox", sip_headers={"x": "y" * 40_000}))
            first = await calls.invite(OPERATOR, "tiny", Opening(environment="sandbox", id="same"), door="twilio")
            again = await calls.invite(OPERATOR, "tiny", Opening(environment="sandbox", id="same"), door="twilio")
            from vivavoce.errors import Unauthenticated

            for token, door in ((first.token, "twilio"), (again.token, "calls")):
                with pytest.raises(Unauthenticated):
                    await calls.accept(token, door)

    run(scenario())


@pytest.mark.parametrize("rate", [1, 3_999, 400_000])
def test_a_small_file_that_tells_of_much_sound_is_refused(rate: int) -> None:
    with pytest.raises(wav.AudioInvalid):
        wav.read(wav.of(bytes(4000), rate=rate))


def test_a_file_of_silence_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros((16_000 * 200, 1), np.int16), 16_000)
    with pytest.raises(wav.AudioInvalid, match="longer"):
        wav.read(path.read_bytes(), most_seconds=100)
    assert len(wav.read(path)) == 16_000 * 200 * 2
