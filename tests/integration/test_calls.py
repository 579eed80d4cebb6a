"""Whole calls through the voice path with scripted engines: what the caller hears, and what remains of it."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.calls import BARGE_IN, ECHO, VOICE, exchange
from tests.support.http import api
from tests.support.talk import run, script, write
from vivavoce.audio import pcm, tones, wav
from vivavoce.domain.principal import Principal
from vivavoce.recordings import spool
from vivavoce.service.keys import OPERATOR
from vivavoce.service.recordings import RecordingNotFound
from vivavoce.speech.interface import SpeechError
from vivavoce.speech.scripted import ScriptedRecognizer, ScriptedSynthesizer, Tongue
from vivavoce.voice.line import Arrived
from vivavoce.voice.pace import RealTime
from vivavoce.voice.simulated import HangUp, Press, SimulatedCaller, Speak, Wait

FUNCTION = "from _gen import *\n\n@func_description('does it')\ndef {name}(conv: Conversation):\n    {body}\n"
RULES = {"agent_settings/rules.txt": "Call {{fn:act}}."}
ACT = 'rules: [{when: {said: "act", tool: act}, call: {name: act}}]\notherwise: "Well then"'
LONG = "This is a rather long answer that goes on for several seconds so that there is time enough to speak into it."
HANDOFFS = {
    "config/handoffs.yaml": "handoffs: [{name: Desk, is_default: true, sip_config: {method: refer, phone_number: '+15550100'}}]\n"
}


def acting(body: str) -> dict[str, str]:
    return {**VOICE, **RULES, "functions/act.py": FUNCTION.format(name="act", body=body)}


def test_a_caller_is_greeted_heard_and_answered_and_the_call_is_a_conversation(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            held = await phone.call("good day", caller_number="+447700900461", callee_number="+441632960000")
            assert held.said == [("", "Hello"), ("good day", "You said good day")]
            conversation = held.found.conversation
            assert (held.ended.reason, conversation.end_reason) == ("client", "client")
            assert conversation.channel == "sip.polyai" and conversation.from_number == "+447700900461"
            assert conversation.is_recorded and conversation.id.startswith("LOCAL-")

    run(scenario())


def test_both_sides_of_a_recording_are_of_one_length_and_everything_is_where_the_record_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            held = await phone.call("good day", "and good bye")
            user, agent, both = [await held.sound(side) for side in ("user", "agent", "combined")]  # type: ignore[arg-type]
            assert len(user) == len(agent) == len(both) // 2 == round(held.ended.seconds * pcm.RATE) * 2
            assert len(await held.sound(is_mono=True)) == len(user)
            for turn in held.turns[1:]:
                spoken, played = turn.input.spoken, turn.played
                assert spoken is not None and played is not None and played.start is not None and played.end is not None
                loud = [n for n in range(0, len(user) // 2, 160) if pcm.level(user[n * 2 : n * 2 + 320]) > 0.1]
                own = [n for n in loud if spoken.start - 8000 < n < spoken.end + 8000]
                assert abs(own[0] - spoken.start) <= 320 and abs(own[-1] + 160 - spoken.end) <= 320
                assert pcm.level(agent[played.start * 2 : played.end * 2]) > 0.1
                assert not any(agent[: played.start * 2][-3200:]) and spoken.end <= played.start

    run(scenario())


def test_a_silent_caller_is_asked_and_in_the_end_the_agent_hangs_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            held = await phone.call(Wait(), Wait(), Wait(), Wait())
            assert [reply for _, reply in held.said][:3] == ["Hello", "Are you there?", "Are you there?"]
            assert held.ended.reason == "silence" and held.said[-1][1].startswith("Thank you for calling")
            assert held.caller.is_hung_up

    run(scenario())


def test_a_function_decides_how_long_a_silence_is(tmp_path: Path) -> None:
    files = acting("return {'utterance': 'Wait', 'listen': {'asr': {'timeout': 0.1}}}")

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), ACT) as phone:
            held = await phone.call("act", Wait())
            first, second = held.turns[1].played, held.turns[2].input.spoken
            assert first is not None and second is not None and first.end is not None
            assert 0 < second.start - first.end <= 0.15 * pcm.RATE

    run(scenario())


def test_the_caller_may_interrupt_and_the_record_has_what_was_heard(tmp_path: Path) -> None:
    model = f'rules: [{{when: {{said: "tell"}}, say: "{LONG}"}}]\notherwise: "Certainly"'

    async def scenario() -> None:
        async with exchange(write(tmp_path, {**VOICE, **BARGE_IN}), model) as phone:
            held = await phone.call("tell me", phone.say("stop it", interrupts_after=2.0))
            told, stopped = held.turns[1], held.turns[2]
            assert LONG.startswith(told.reply) and 10 < len(told.reply) < len(LONG)
            assert told.reply + told.unplayed == LONG and told.messages[-1].content == told.reply
            assert stopped.input.spoken is not None and stopped.input.spoken.is_barge_in
            assert stopped.reply == "Certainly" and held.caller.clears == 1
            # Silent within a frame of the decision, which takes a quarter of a second of speech.
            assert told.played is not None and told.played.end is not None
            assert told.played.end <= stopped.input.spoken.start + 0.3 * pcm.RATE
            history = [message.content for message in stopped.exchanges[0].request.history]
            assert told.reply in history and LONG not in history

    run(scenario())


def test_a_backchannel_does_not_stop_the_agent(tmp_path: Path) -> None:
    model = f'rules: [{{when: {{said: "tell"}}, say: "{LONG}"}}]\notherwise: "Certainly"'

    async def scenario() -> None:
        async with exchange(write(tmp_path, {**VOICE, **BARGE_IN}), model) as phone:
            cough = Speak(phone.say("m").sound[: pcm.FRAME_BYTES * 8], "m", 1.0)
            held = await phone.call("tell me", cough)
            assert [reply for _, reply in held.said] == ["Hello", LONG] and held.caller.clears == 0

    run(scenario())


def test_a_noise_that_stopped_the_agent_and_said_nothing_lets_it_go_on(tmp_path: Path) -> None:
    model = f'rules: [{{when: {{said: "tell"}}, say: "{LONG}"}}]\notherwise: "Certainly"'

    async def scenario() -> None:
        async with exchange(write(tmp_path, {**VOICE, **BARGE_IN}), model) as phone:
            noise = Speak(tones.tone("5", seconds=0.6), "noise", 1.0)  # no words of anybody
            held = await phone.call("tell me", noise)
            assert [reply for _, reply in held.said] == ["Hello", LONG] and held.caller.clears == 1

    run(scenario())


def test_an_agent_that_may_not_be_interrupted_is_not(tmp_path: Path) -> None:
    model = f'rules: [{{when: {{said: "tell"}}, say: "{LONG}"}}]\notherwise: "Certainly"'

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), model) as phone:
            held = await phone.call("tell me", phone.say("stop it", interrupts_after=1.0))
            assert [reply for _, reply in held.said] == ["Hello", LONG] and held.caller.clears == 0

    run(scenario())


def test_keys_are_an_entry_and_the_text_of_the_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            held = await phone.call(Press("12#"), Press("7"))
            assert held.said[1:] == [("12", "You said 12"), ("7", "You said 7")]
            assert held.turns[1].input.spoken is not None and held.turns[1].input.spoken.end_key == "#"

    run(scenario())


def test_secret_keys_are_in_no_transcript_and_their_tones_in_no_recording(tmp_path: Path) -> None:
    step = "step_type: advanced_step\nname: Card\nprompt: Ask.\ndtmf_config: {is_enabled: true, is_pii: true, max_digits: 16}\n"
    files = {
        **VOICE,
        "functions/start_function.py": "def start_function(conv):\n    conv.goto_flow('Pay')\n    return {'utterance': 'Key in your card'}\n",
        "flows/pay/flow_config.yaml": "name: Pay\ndescription: d\nstart_step: Card\n",
        "flows/pay/steps/card.yaml": step,
    }

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), 'rules: []\notherwise: "Thank you"') as phone:
            beep = Speak(tones.tone("4", seconds=0.2), "")
            held = await phone.call(beep, Press("4111#"))
            user = await held.sound("user")
            assert not any(user)
            shown = str(list(held.caller.told))
            assert "4111" not in shown and "****" in shown
            pressed = next(turn.input for turn in held.turns if turn.input.dtmf)
            assert pressed.shown_dtmf == "****" and pressed.dtmf == "4111"

    run(scenario())


def test_the_agent_hangs_up_when_its_goodbye_has_been_played(tmp_path: Path) -> None:
    files = acting("return {'utterance': 'Goodbye then', 'hangup': True}")

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), ACT) as phone:
            held = await phone.call("act", Wait())
            played = held.turns[1].played
            assert held.ended.reason == "hangup" and played is not None and played.end is not None
            assert played.end - (played.start or 0) == len(phone.say("Goodbye then").sound) // 2
            assert held.ended.seconds * pcm.RATE >= played.end

    run(scenario())


def test_a_handoff_transfers_the_call_after_its_words(tmp_path: Path) -> None:
    files = {**acting("return conv.call_handoff('Desk', 'asked', 'One moment')"), **HANDOFFS}

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), ACT) as phone:
            held = await phone.call("act", Wait())
            transfer = held.caller.transferred
            assert transfer is not None and (transfer.method, transfer.number) == ("refer", "+15550100")
            assert held.found.conversation.is_handoff and held.turns[-1].reply == "One moment"

    run(scenario())


def test_a_recording_that_author_code_discards_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, acting("conv.discard_recording()")), ACT) as phone:
            held = await phone.call("act")
            assert not held.found.conversation.is_recorded
            with pytest.raises(RecordingNotFound):
                await held.sound()

    run(scenario())


def test_a_recording_is_silent_while_author_code_has_stopped_it(tmp_path: Path) -> None:
    files = acting("conv.state.stop_recording = not conv.state.stop_recording")

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), ACT) as phone:
            held = await phone.call("act", "four one one one", "act", "thank you")
            user, agent = await held.sound("user"), await held.sound("agent")
            assert len(user) == len(agent) == round(held.ended.seconds * pcm.RATE) * 2

            def is_heard(number: int) -> bool:
                spoken = held.turns[number].input.spoken
                assert spoken is not None
                return any(user[spoken.start * 2 : spoken.end * 2])

            assert [is_heard(n) for n in (1, 2, 3, 4)] == [True, False, False, True]

    run(scenario())


def test_an_engine_that_fails_is_replaced_within_the_utterance(tmp_path: Path) -> None:
    tongue = Tongue()
    down = SpeechError("The engine is away.")
    hearing = [ScriptedRecognizer(tongue, name="first", fails={0: down}), ScriptedRecognizer(tongue, name="second")]
    speaking = [
        ScriptedSynthesizer(tongue, name="first", fails={1: down}, words=True),
        ScriptedSynthesizer(tongue, name="second"),
    ]

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), recognizers=hearing, synthesizers=speaking, tongue=tongue) as phone:
            held = await phone.call("good day")
            assert held.said == [("", "Hello"), ("good day", "You said good day")]
            turn = held.turns[1]
            assert turn.input.spoken is not None and turn.input.spoken.recognizer == "second"
            assert turn.played is not None and turn.played.synthesizer == "second" and turn.played.problems == ()

    run(scenario())


def test_a_caller_who_cannot_be_understood_gets_an_apology_and_then_a_person(tmp_path: Path) -> None:
    tongue = Tongue()
    broken = ScriptedRecognizer(tongue, fails={n: SpeechError("The engine is away.") for n in range(9)})

    async def scenario() -> None:
        async with exchange(write(tmp_path, {**VOICE, **HANDOFFS}), recognizers=[broken], tongue=tongue) as phone:
            held = await phone.call("one", "two", "three", Wait())
            assert held.ended.reason == "failed" and held.found.conversation.end_reason == "failed"
            assert held.caller.transferred is not None and held.caller.transferred.number == "+15550100"
            apologies = [e for e in held.caller.told if e.get("role") == "agent" and "sorry" in str(e["text"])]
            assert len(apologies) == 3

    run(scenario())


def test_an_agent_that_has_lost_its_voice_ends_the_call_and_says_why(tmp_path: Path) -> None:
    tongue = Tongue()
    mute = ScriptedSynthesizer(tongue, fails={n: SpeechError("The engine is away.") for n in range(50)})

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), synthesizers=[mute], tongue=tongue) as phone:
            held = await phone.call("one", "two", "three", "four")
            assert held.ended.reason == "failed"
            problems = [p for turn in held.turns if turn.played is not None for p in turn.played.problems]
            assert "synthesis_failed" in problems

    run(scenario())


def test_a_text_without_any_sound_is_passed_over(tmp_path: Path) -> None:
    model = 'rules: [{when: {said: "hm"}, say: "— … —"}]\notherwise: "And now?"'

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), model) as phone:
            held = await phone.call("hm", Wait())
            assert held.ended.reason == "client" and [r for _, r in held.said][:3] == ["Hello", "— … —", "And now?"]

    run(scenario())


def test_pronunciations_are_heard_and_not_read(tmp_path: Path) -> None:
    tongue = Tongue()
    voice = ScriptedSynthesizer(tongue)
    rules = "pronunciations: [{regex: 'Hello', replacement: 'Hullo'}]\n"
    files = {**VOICE, "voice/response_control/pronunciations.yaml": rules}

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), synthesizers=[voice], tongue=tongue) as phone:
            held = await phone.call(HangUp())
            assert held.said[0][1] == "Hello" and voice.spoken[0][0] == "Hullo"

    run(scenario())


def test_transcript_corrections_and_keyphrases_have_their_effect(tmp_path: Path) -> None:
    tongue = Tongue()
    ear = ScriptedRecognizer(tongue)
    corrections = "corrections: [{name: c, regular_expressions: [{regular_expression: 'bake', replacement: 'bike', replacement_type: partial}]}]\n"
    files = {
        **VOICE,
        "voice/speech_recognition/transcript_corrections.yaml": corrections,
        "voice/speech_recognition/keyphrase_boosting.yaml": "keyphrases: [{keyphrase: derailleur, level: maximum}]\n",
    }

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), recognizers=[ear], tongue=tongue) as phone:
            held = await phone.call("my bake")
            assert held.turns[1].input.text == "my bake" and held.turns[1].corrected == "my bike"
            assert ("derailleur", 3.0) in ear.hints[0].phrases

    run(scenario())


def test_a_voice_that_author_code_sets_speaks_from_then_on(tmp_path: Path) -> None:
    tongue = Tongue()
    voice = ScriptedSynthesizer(tongue)
    files = acting("conv.set_voice(CustomVoice('scripted', 'deep')); return {'utterance': 'Better?'}")

    async def scenario() -> None:
        async with exchange(write(tmp_path, files), ACT, synthesizers=[voice], tongue=tongue) as phone:
            await phone.call("act", "good")
            assert [v.id for _, v in voice.spoken] == ["", "deep", "deep"]

    run(scenario())


def test_the_first_sentence_is_spoken_while_the_model_still_writes(tmp_path: Path) -> None:
    model = script('rules: []\notherwise: "First this. Then that, which is longer. And the end."')

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), model) as phone:
            held = await phone.call("go")
            agent = [event["text"] for event in held.caller.told if event.get("role") == "agent"]
            assert agent[1:] == ["First this. Then that, which is longer.", "And the end."]
            assert held.said[1][1] == "First this. Then that, which is longer. And the end."

    run(scenario())


def test_what_a_caller_adds_while_the_agent_thinks_is_answered_next(tmp_path: Path) -> None:
    slow = acting("import time; time.sleep(1.2); return {'utterance': 'Done with it'}")

    async def scenario() -> None:
        async with exchange(write(tmp_path, {**slow, **BARGE_IN}), ACT) as phone:
            both = Speak(phone.say("act").sound + pcm.silence(pcm.RATE) + phone.say("and more").sound, "act")
            held = await phone.call(both, pace=RealTime())
            assert [text for text, _ in held.said] == ["", "act", "and more"]
            assert held.turns[1].calls and held.turns[1].reply == ""  # its effects stand, its words were not heard

    run(scenario())


def test_a_call_that_a_crash_cuts_is_kept_to_its_last_second(tmp_path: Path) -> None:
    """The file is a valid recording at every moment; the next start keeps it and ends the conversation."""

    async def first() -> str:
        async with exchange(write(tmp_path / "agent", VOICE), data=tmp_path / "data") as phone:
            calls = phone.started.services.calls
            acts = [phone.say("good day"), phone.say("and again")]
            from vivavoce.voice.simulated import SimulatedCaller

            class Dies(SimulatedCaller):
                def take(self):  # type: ignore[no-untyped-def]
                    if self._now > 6.0:
                        os.sync()
                        raise KeyboardInterrupt
                    return super().take()

            from vivavoce.service.chats import Opening
            from vivavoce.voice.call import Call

            line = Dies(acts)
            task = asyncio.ensure_future(calls.hold(OPERATOR, "tiny", Opening(environment="sandbox", id="cut"), line))
            while line._now < 5.0:
                await asyncio.sleep(0.01)
            (path,) = (tmp_path / "data" / "spool").glob("*.wav")
            found = wav.parsed(path.read_bytes())
            assert found.channels == 2 and abs(found.data_bytes / 64_000 - 5.0) <= 1.1
            copy = path.read_bytes(), path.with_suffix(".json").read_bytes()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert Call is not None
        (tmp_path / "data" / "spool").mkdir(exist_ok=True)
        path.write_bytes(copy[0] + b"\1\2\3")
        path.with_suffix(".json").write_bytes(copy[1])
        return "cut"

    async def second(id_: str) -> None:
        async with exchange(tmp_path / "agent", data=tmp_path / "data") as phone:
            services = phone.started.services
            found = await services.conversations.get(OPERATOR, "tiny", id_)
            assert found.conversation.is_ended
            sound = await services.conversations.recording(
                OPERATOR, "tiny", id_, direction="user", is_redacted=False, is_mono=False
            )
            assert abs((sound.size - 44) / 32_000 - 5.0) <= 1.1
            assert not list((tmp_path / "data" / "spool").iterdir())

    run(second(run(first())))


def test_a_recording_goes_with_its_conversation(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path / "agent", VOICE), data=tmp_path / "data") as phone:
            held = await phone.call("good day")
            files = [p for p in (tmp_path / "data" / "recordings").rglob("*") if p.is_file()]
            assert len(files) == 1 and held.found.conversation.id not in str(files[0])
            services = phone.started.services
            receipt = await services.erasure.conversation(OPERATOR, "tiny", held.found.conversation.id)
            assert receipt.removed["recordings"] == 1
            assert not [p for p in (tmp_path / "data" / "recordings").rglob("*") if p.is_file()]

    run(scenario())


def test_a_recording_waits_on_disk_while_the_object_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vivavoce.recordings.interface import RecordingsError
    from vivavoce.recordings.objects import ObjectRecordings
    from vivavoce.service import recordings

    put, is_away = ObjectRecordings.put, [True]

    async def away(self: ObjectRecordings, *arguments: object) -> None:
        if is_away:
            raise RecordingsError("away")
        await put(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ObjectRecordings, "put", away)
    monkeypatch.setattr(recordings, "STORE_AGAIN", timedelta())

    async def scenario() -> None:
        async with exchange(write(tmp_path / "agent", VOICE), data=tmp_path / "data") as phone:
            held = await phone.call("good day")
            with pytest.raises(RecordingNotFound, match="being stored"):
                await held.sound()
            assert len(list((tmp_path / "data" / "spool").glob("*.wav"))) == 1
            is_away.clear()
            await phone.started.work.run_due()
            assert len(await held.sound("user")) == round(held.ended.seconds * pcm.RATE) * 2
            assert not list((tmp_path / "data" / "spool").iterdir())

    run(scenario())


def test_what_waits_on_disk_goes_with_its_conversation_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vivavoce.recordings.interface import RecordingsError
    from vivavoce.recordings.objects import ObjectRecordings

    async def away(self: ObjectRecordings, *arguments: object) -> None:
        raise RecordingsError("away")

    monkeypatch.setattr(ObjectRecordings, "put", away)

    async def scenario() -> None:
        async with exchange(write(tmp_path / "agent", VOICE), data=tmp_path / "data") as phone:
            held = await phone.call("good day")
            await phone.started.services.erasure.conversation(OPERATOR, "tiny", held.found.conversation.id)
            assert not list((tmp_path / "data" / "spool").iterdir())

    run(scenario())


def test_who_may_not_see_personal_data_hears_the_redacted_recording_only(tmp_path: Path) -> None:
    """The redactor listens with the call's own recogniser, mutes, and listens again."""

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            said = phone.say("my name is").sound + phone.say("Margaret Donnelly").sound + phone.say("good day").sound
            held = await phone.call(Speak(said, "my name is Margaret Donnelly good day"))
            conversation, services = held.found.conversation, phone.started.services
            reader = Principal(
                key_id="r", account_id="acme", permissions=frozenset(("read",)), agents=frozenset(("tiny",))
            )
            options = {"direction": "user", "is_redacted": False, "is_mono": False}
            with pytest.raises(RecordingNotFound):  # not yet redacted: nothing is heard
                await services.conversations.recording(reader, "tiny", conversation.id, **options)  # type: ignore[arg-type]
            await phone.started.work.run_due()
            raw = await held.sound("user")
            view = await services.conversations.recording(reader, "tiny", conversation.id, **options)  # type: ignore[arg-type]
            redacted = b"".join([piece async for piece in view.read(44, view.size)])
            name = phone.say("Margaret Donnelly").sound
            start = raw.index(name[1000:3000]) - 1000
            assert not any(redacted[start : start + len(name)]) and len(redacted) == len(raw)
            spans = [(s.start, s.end) for s in view.recording.muted or () if s.side == "user"]
            outside = [n for n in range(len(raw) // 2) if not any(a <= n < b for a, b in spans)]
            assert all(raw[n * 2 : n * 2 + 2] == redacted[n * 2 : n * 2 + 2] for n in outside[::7])

    run(scenario())


def test_spoken_replies_of_text_conversations_can_be_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            services = phone.started.services
            from vivavoce.service.chats import Opening, Said, Taken

            taken = await services.chats.open(OPERATOR, "tiny", Opening(environment="sandbox"))
            assert isinstance(taken, Taken)
            taken = await services.chats.respond(OPERATOR, "tiny", taken.conversation.id, Said(text="hm"))
            assert isinstance(taken, Taken)
            url = services.turn_audio.url(OPERATOR, "tiny", taken.conversation.id, "chat.polyai", taken.turn)
            assert url == f"/v1/agents/tiny/conversations/{taken.conversation.id}/turns/1/audio?direction=agent"
            sound = await services.turn_audio.sound(
                OPERATOR, "tiny", taken.conversation.id, 1, direction="agent", is_redacted=False
            )
            body = b"".join([piece async for piece in sound.read(0, sound.size)])
            assert body[44:] == phone.say("You said hm").sound
            assert (
                services.turn_audio.url(OPERATOR, "tiny", taken.conversation.id, "webchat.polyai", taken.turn) is None
            )

    run(scenario())


def test_what_is_said_in_two_calls_is_made_once_from_then_on(tmp_path: Path) -> None:
    tongue = Tongue()
    voice = ScriptedSynthesizer(tongue)

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), synthesizers=[voice], tongue=tongue) as phone:
            for _ in range(4):
                held = await phone.call(HangUp())
            assert [text for text, _ in voice.spoken] == ["Hello", "Hello"]
            assert held.turns[0].played is not None and held.turns[0].played.synthesizer == "scripted (cached)"
            cache = phone.started.services.audio_cache
            (entry,), total = await cache.entries(OPERATOR, "tiny", limit=10, offset=0, sort="hit_count:desc")
            assert (entry.transcript, entry.hits, total) == ("Hello", 2, 1)
            agent, spoken = ("acme", "tiny"), voice.spoken[0][1]
            assert await cache.find(agent, "Hello", spoken, "another engine") is None
            own = phone.say("Good morning").sound
            await cache.replace_file(OPERATOR, "tiny", entry.id, wav.of(own), "../../hello.wav")
            held = await phone.call(HangUp())
            assert own in await held.sound("agent")
            assert await cache.find(agent, "Hello", spoken, "another engine") is not None  # somebody wants it so
            (entry,), _ = await cache.entries(OPERATOR, "tiny", limit=10, offset=0, sort="")
            assert entry.is_imported and entry.filename == "hello.wav"

    run(scenario())


def test_an_engine_that_stands_in_for_another_leaves_nothing_in_the_audio_cache(tmp_path: Path) -> None:
    tongue = Tongue()
    away = {number: SpeechError("The engine is away.") for number in range(9)}
    first, second = ScriptedSynthesizer(tongue, name="first", fails=away), ScriptedSynthesizer(tongue, name="second")

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), synthesizers=[first, second], tongue=tongue) as phone:
            for _ in range(3):
                held = await phone.call(HangUp())
                assert held.turns[0].played is not None and held.turns[0].played.synthesizer == "second"
            found = await phone.started.services.audio_cache.entries(OPERATOR, "tiny", limit=10, offset=0, sort="")
            assert found == ([], 0)

    run(scenario())


def test_a_name_that_a_caller_says_in_the_same_turn_is_not_kept_in_the_audio_cache(tmp_path: Path) -> None:
    model = 'rules: [{when: {said: "my name"}, say: "Zbigniew, thank you."}]\notherwise: "And now?"'

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), model) as phone:
            for _ in range(3):
                held = await phone.call("my name is Zbigniew")
                assert held.said[1] == ("my name is Zbigniew", "Zbigniew, thank you.")
            cache = phone.started.services.audio_cache
            found, _ = await cache.entries(OPERATOR, "tiny", limit=10, offset=0, sort="")
            assert [entry.transcript for entry in found] == ["Hello"]

    run(scenario())


def test_who_goes_on_before_the_agent_has_understood_is_heard_to_the_end(tmp_path: Path) -> None:
    tongue = Tongue()
    slow = ScriptedRecognizer(tongue, delay=0.8)

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), recognizers=[slow], tongue=tongue) as phone:
            both = phone.say("a table").sound + pcm.silence(round(0.9 * pcm.RATE)) + phone.say("for four").sound
            held = await phone.call(Speak(both, "a table for four"), pace=RealTime())
            assert [turn.input.text for turn in held.turns][:3] == ["", "a table", "for four"]
            assert held.turns[1].unplayed and held.turns[2].reply == "You said for four"

    run(scenario())


def test_nothing_personal_is_kept_in_the_audio_cache(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with exchange(
            write(tmp_path, {"voice/configuration.yaml": "greeting: {welcome_message: 'Call us on 07700 900461'}\n"})
        ) as phone:
            for _ in range(3):
                await phone.call(HangUp())
            found, total = await phone.started.services.audio_cache.entries(
                OPERATOR, "tiny", limit=10, offset=0, sort=""
            )
            assert (list(found), total) == ([], 0)

    run(scenario())


def test_a_disk_that_is_full_ends_the_recording_and_not_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: spool.SpoolFile, sound: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.SpoolFile, "_append", full)

    async def scenario() -> None:
        async with exchange(write(tmp_path / "agent", VOICE), data=tmp_path / "data") as phone:
            held = await phone.call("good day")
            assert held.said == [("", "Hello"), ("good day", "You said good day")]

    run(scenario())


def test_no_more_calls_are_taken_than_the_server_holds(tmp_path: Path) -> None:
    from vivavoce.service.chats import Opening
    from vivavoce.service.invitations import TooManyCalls

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE), calls=1) as phone:
            first = asyncio.ensure_future(phone.call(Wait(), pace=RealTime()))
            await asyncio.sleep(0.1)
            with pytest.raises(TooManyCalls):
                await phone.started.services.calls.invite(OPERATOR, "tiny", Opening(environment="sandbox"))
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert (await phone.started.services.calls.invite(OPERATOR, "tiny", Opening(environment="sandbox"))).token

    run(scenario())


def test_the_record_tells_where_the_time_went(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api(write(tmp_path, VOICE), script(ECHO)) as http:
            assert http.started is not None
        async with exchange(write(tmp_path / "b", VOICE)) as phone:
            held = await phone.call("good day")
            from vivavoce.wire.conversations import detail

            shown = json.loads(__import__("msgspec").json.encode(detail(held.found.listed, held.turns, None)))
            turn = shown["turns"][1]
            speech = turn["metadata"]["speech"]
            assert speech["latency"]["endpointing"] == pytest.approx(600, abs=20)
            assert speech["latency"]["perceived"] >= 600 and turn["latency"]["perceived_latency"] >= 0.6
            assert turn["user_input_audio_url"].endswith("/turns/1/audio") and shown["channel"] == "VOICE-SIP"
            assert shown["audioUrl"].endswith("/audio") and shown["latency"]["perceived"]["turns"] == 1

    run(scenario())


def test_words_for_the_wait_are_spoken_and_are_no_part_of_the_reply(tmp_path: Path) -> None:
    body = (
        "from _gen import *\nimport time\n\n@func_description('does it')\n"
        "@func_latency_control(delay_before_responses_start=0, silence_after_each_response=0, delay_responses=[('One moment', 5)])\n"
        "def act(conv: Conversation):\n    time.sleep(0.8)\n    return {'utterance': 'Here it is'}\n"
    )
    tongue = Tongue()
    voice = ScriptedSynthesizer(tongue)

    async def scenario() -> None:
        files = {**VOICE, **RULES, "functions/act.py": body}
        async with exchange(write(tmp_path, files), ACT, synthesizers=[voice], tongue=tongue) as phone:
            held = await phone.call("act")
            assert [text for text, _ in voice.spoken] == ["Hello", "One moment", "Here it is"]
            assert held.said[1] == ("act", "Here it is")
            interims = [event["text"] for event in held.caller.told if event.get("interim")]
            assert interims == ["One moment"]

    run(scenario())


def test_a_line_that_brings_no_sound_any_more_is_lost_and_the_record_says_so(tmp_path: Path) -> None:
    class HalfOpen(SimulatedCaller):
        def take(self) -> Arrived:
            arrived = super().take()
            return Arrived() if self._now > 2.0 else arrived

    async def scenario() -> None:
        async with exchange(write(tmp_path, VOICE)) as phone:
            line = HalfOpen([Wait(), Wait(), Wait()])
            held = await phone.call(line=line)
            assert held.ended.reason == held.found.conversation.end_reason == "lost"
            assert 11.9 <= held.ended.seconds <= 12.2
            assert len(await held.sound("user")) == round(held.ended.seconds * pcm.RATE) * 2
            last = held.turns[-1].played
            assert last is not None and last.problems == ("line_lost",)

    run(scenario())
