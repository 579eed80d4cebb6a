"""Calls over the telephone: carriers announce them, their sockets bring the sound, and their APIs are asked for the rest."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import time
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import pytest

from tests.integration.test_turns import function
from tests.support.carriers import (
    CALLED,
    CALLER,
    LINES,
    PLIVO_ACCOUNT,
    PLIVO_TOKEN,
    TELNYX_KEY,
    TELNYX_SIGNING,
    TWILIO_ACCOUNT,
    TWILIO_TOKEN,
    WEB_LINES,
    Asterisk,
    Exchange,
    Line,
    Plivo,
    Telnyx,
    Twilio,
    WebLine,
    exchange,
    rest,
    until,
)
from tests.support.talk import run, script, write
from vivavoce.audio import pcm, wav
from vivavoce.domain.conversation import Turn
from vivavoce.errors import UsageError
from vivavoce.service.chats import Opening
from vivavoce.service.keys import OPERATOR
from vivavoce.service.recordings import RecordingNotFound
from vivavoce.speech.interface import Hints
from vivavoce.speech.scripted import ScriptedRecognizer
from vivavoce.telephony import plivo, queued_line, telnyx
from vivavoce.telephony.audiosocket import AudioSocketServer
from vivavoce.telephony.dialect import CarrierError, Control
from vivavoce.telephony.plivo import PlivoControl
from vivavoce.telephony.telnyx import TelnyxControl
from vivavoce.telephony.twilio import TwilioControl
from vivavoce.voice import call
from vivavoce.voice.conduct import Transfer
from vivavoce.wiring import SystemRandom

FILES = {
    "voice/configuration.yaml": "greeting: {welcome_message: Hi., language_code: en-GB}\n",
    "voice/speech_recognition/asr_settings.yaml": "barge_in: true\ninteraction_style: turbo\n",
}
LONG = "This is a story that goes on and on and on"  # 2 s
ACTING = {
    "agent_settings/rules.txt": "{{fn:leave}} {{fn:pass_on}}",
    "functions/leave.py": function("return {'utterance': 'Bye now.', 'hangup': True}", "leave"),
    "functions/pass_on.py": function("conv.call_handoff('desk', utterance='One moment.')", "pass_on"),
    "config/handoffs.yaml": "handoffs:\n- name: desk\n  description: d\n  is_default: true\n"
    "  sip_config: {method: bye, phone_number: '+442079460018'}\n  sip_headers: [{key: X-Site, value: harbour}]\n",
}
MODEL = """
rules:
  - when: {said: goodbye, tool: leave}
    call: {name: leave}
  - when: {said: a person, tool: pass_on}
    call: {name: pass_on}
  - when: {said: "^12$"}
    say: Keys.
otherwise: Fine.
"""
L = TypeVar("L", bound=Line)


def on_the_telephone(tmp_path: Path, then: Callable[[Exchange], Awaitable[None]], **more: Any) -> None:
    """Runs the server, with what `files` add to the agent `tiny`."""

    async def go() -> None:
        folder = write(tmp_path / "tiny", {**FILES, **more.pop("files", {})})
        async with exchange([folder], script(MODEL), **more) as at:
            await then(at)

    run(go())


async def each(at: Exchange, lines: Sequence[Callable[[Exchange], L]], fact: Callable[[L], Awaitable[None]]) -> None:
    """On all of them at once: they take their time."""

    async def one(line: L) -> None:
        try:
            await fact(line)
        finally:
            await line.close()

    done = await asyncio.gather(*(one(line(at)) for line in lines), return_exceptions=True)
    for error in done:
        if error is not None:
            raise error


async def is_answered(line: Line) -> None:
    """A call as it should be, from greeting to end."""
    await line.dial()
    await line.hears("Hi.")
    line.say("hello")
    await line.hears("Fine.")
    await line.hang_up()
    conversation, turns = await line.at.ended(line.call, line.agent)
    assert conversation.end_reason == "client" and [turn.input.text for turn in turns] == ["", "hello"]


async def another_is_answered(at: Exchange, *lines: type[Line]) -> None:
    await each(at, lines or LINES, is_answered)


# Who is let in.


def test_a_signed_webhook_is_answered_with_the_address_of_the_stream(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        addresses = [await line(at).announce() for line in WEB_LINES]
        base = at.url.replace("http:", "ws:")
        for address, line in zip(addresses, WEB_LINES, strict=True):
            assert address.startswith(f"{base}/voice/{line.name}/stream/"), address
            UUID(address.rpartition("/")[2])

    on_the_telephone(tmp_path, then)


def test_a_webhook_that_is_not_signed_or_wrongly_or_long_ago_changes_nothing(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        def signed(line: WebLine, fields: dict[str, str]) -> dict[str, str]:
            raw = "&".join(f"{k}={v}" for k, v in fields.items()).encode()
            return line.signed(f"{at.url}/voice/{line.name}/tiny/sandbox", raw, fields)

        attempts: list[tuple[WebLine, dict[str, str]]] = []
        for kind in WEB_LINES:
            line = kind(at)
            right = signed(line, line.announced())
            attempts += [
                (line, {}),
                (line, dict.fromkeys(right, "")),
                (line, dict.fromkeys(right, "ÿ")),
                (line, signed(line, {**line.announced(), "From": "+1"})),  # of another body
            ]
        line = Telnyx(at)
        fresh = time()
        for at_ in (fresh - 310, fresh + 310):
            attempts.append((line, line.signed("", b"x", {}, at=at_)))
        timestamp = {"telnyx-timestamp": "soon"}
        attempts.append((line, {**line.signed("", b"x", {}), **timestamp}))
        for line, headers in attempts:
            status, answer = await at.announce(line, line.announced(), headers=headers)
            assert status == 403 and "Stream" not in answer, (line.name, headers)
        assert await at.started.store.facts("", "", "call_token", at.started.services.calls._clock.now()) == []

    on_the_telephone(tmp_path, then)


def test_a_telnyx_signature_is_good_for_five_minutes() -> None:
    raw = b"CallSid=v3:a"
    headers = Telnyx.signed("", raw, {}, at=1_000_000)
    public = telnyx.public_key(base64.b64encode(TELNYX_SIGNING.public_key().public_bytes_raw()).decode())
    for now, is_good in ((1_000_000, True), (1_000_300, True), (999_700, True), (1_000_301, False), (999_699, False)):
        assert telnyx.is_signed(public, headers, raw, lambda now=now: float(now)) is is_good  # type: ignore[misc]
    assert not telnyx.is_signed(public, headers, raw + b"b", lambda: 1_000_000.0)
    with pytest.raises(UsageError, match="TELNYX_PUBLIC_KEY"):
        telnyx.public_key("not a key")


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("", "jx4NrrRvdAXBb8XsaDBBGfRIDJ2ezg/3+8SKBZfqOAc="),
        ("?b=2&a=1", "j9ZkISMn3P5pGLqyTfuWQNGO8u3grh6OmFlFoPfna54="),
    ],
)
def test_plivo_signs_as_its_own_library_does(query: str, signature: str) -> None:
    """The signatures are what plivo-python makes of these."""
    fields = {
        "CallUUID": "97ceeb52-58b6-11e1-86da-77300b68f8bb",
        "From": "+441632960001",
        "To": "+442079460000",
        "Direction": "inbound",
        "CallStatus": "ringing",
        "Event": "StartApp",
    }
    url = f"https://voice.example.org/voice/plivo/tiny/live{query}"
    nonce = {"x-plivo-signature-v3-nonce": "05429567804466091622"}
    for name in ("x-plivo-signature-v3", "x-plivo-signature-ma-v3"):
        assert plivo.is_signed("token", url, fields, {**nonce, name: f"another, {signature}"})
    assert not plivo.is_signed("token", url, fields, {**nonce, "x-plivo-signature-v3": ""})
    assert not plivo.is_signed("other", url, fields, {**nonce, "x-plivo-signature-v3": signature})
    assert not plivo.is_signed("token", url, fields, {"x-plivo-signature-v3": signature})


def test_a_call_that_cannot_be_held_hears_that_the_line_is_busy(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        for kind in WEB_LINES:
            line = kind(at)
            for agent, fields in (
                ("nobody", line.announced()),
                ("tiny", line.announced()),  # all lines are taken
            ):
                status, answer = await at.announce(line, fields, agent=agent)
                assert status == 200 and 'reason="busy"' in answer, (line.name, agent)
        raw = b"x" * (65 << 10)
        async with at.session.post(f"{at.url}/voice/plivo/tiny/sandbox", data=raw) as reply:
            assert reply.status == 400

    on_the_telephone(tmp_path, then, calls=0)


def test_a_token_works_once_and_only_for_the_call_that_it_was_given_for(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: WebLine) -> None:
            address = await line.announce()
            await line.connect(address)
            await line.begin()
            line.run()
            await line.hears("Hi.")
            for used in (address, address.rpartition("/")[0] + f"/{SystemRandom().uuid()}"):
                async with at.session.ws_connect(used) as second:
                    assert (await second.receive()).type is aiohttp.WSMsgType.CLOSE and second.close_code == 4401
            await line.hang_up()
            await at.ended(line.call)

        async def other(line: WebLine) -> None:
            address, announced = await line.announce(), line.call
            line.call = type(line)(at).call
            await line.connect(address)
            await line.begin()
            line.run()
            await line.over()
            for id_ in (announced, line.call):
                assert await at.started.store.get("acme", "tiny", id_) is None

        await each(at, WEB_LINES, fact)
        await each(at, WEB_LINES, other)
        await another_is_answered(at)

    on_the_telephone(tmp_path, then)


# A call.


def test_the_caller_is_greeted_heard_and_answered_and_all_of_it_is_on_record(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: Line) -> None:
            await line.dial()
            await line.hears("Hi.")
            line.say("hello")
            await line.hears("Fine.")
            await line.quiet()  # before, it does not take keys
            await line.press("12#")
            await line.hears("Keys.")
            await line.quiet()
            await line.hang_up()
            conversation, turns = await at.ended(line.call)
            assert conversation.end_reason == "client" and conversation.channel == "sip.polyai"
            assert [(t.input.text, t.input.dtmf, t.reply) for t in turns] == [
                ("", "", "Hi."),
                ("hello", "", "Fine."),
                ("", "12", "Keys."),
            ]
            if isinstance(line, WebLine):
                header = "X-PH-Site" if line.name == "plivo" else "X-Site"
                assert (conversation.from_number, conversation.to_number) == (CALLER, CALLED)
                assert conversation.sip_headers == {header: "harbour"}
            assert conversation.is_recorded
            assert await recorded(at, line.call) == ("hello", "Hi. Fine. Keys.")

        await each(at, LINES, fact)

    on_the_telephone(tmp_path, then)


def problems_of(turns: Sequence[Turn]) -> set[str]:
    return {problem for turn in turns if turn.played is not None for problem in turn.played.problems}


async def recorded(at: Exchange, id: str) -> tuple[str, str]:
    """What the two sides say in the recording, once it is kept."""
    texts = []
    for direction in ("user", "agent"):
        sound = await recording(at, id, direction)
        texts.append((await ScriptedRecognizer(at.tongue).recognise(sound, Hints(), 0)).text)
    return texts[0], texts[1]


async def recording(at: Exchange, id: str, direction: Any) -> bytes:
    for _ in range(100):
        try:
            found = await at.started.services.conversations.recording(
                OPERATOR, "tiny", id, direction=direction, is_redacted=False, is_mono=False
            )
        except RecordingNotFound:
            await asyncio.sleep(0.02)
            continue
        parts = [part async for part in found.read(0, found.size)]
        return b"".join(parts)[wav.HEADER_BYTES :]
    raise AssertionError("there is no recording")


def test_a_caller_who_interrupts_is_heard_and_what_was_on_its_way_is_cleared(tmp_path: Path) -> None:
    files = {"voice/configuration.yaml": f"greeting: {{welcome_message: {LONG}., language_code: en-GB}}\n"}

    async def then(at: Exchange) -> None:
        async def fact(line: Line) -> None:
            await line.dial()
            await line.hears(f"{LONG}.")  # it has begun
            line.say("wait, please")
            await line.hears("Fine.", 4.0)
            if isinstance(line, WebLine):
                assert line.clears == 1
            await line.hang_up()
            _, turns = await at.ended(line.call)
            spoken = turns[1].input.spoken
            assert spoken is not None and spoken.is_barge_in and turns[1].input.text == "wait, please"
            assert len(turns[0].reply) < len(LONG) and turns[0].unplayed

        await each(at, LINES, fact)

    on_the_telephone(tmp_path, then, files=files)


def test_a_handoff_asks_the_carrier_to_pass_the_call_on(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: Line) -> None:
            await line.dial()
            await line.hears("Hi.")
            line.say("a person")
            await line.hears("One moment.")
            await line.over()
            conversation, _ = await at.ended(line.call)
            assert (conversation.end_reason, conversation.handoff_destination) == ("handoff", "desk")
            if isinstance(line, Asterisk):  # its dialplan goes on
                assert line.is_hung_up
                return
            await at.api.of(line.call)
            (asked,) = [asked for asked in at.api.asked if line.call in asked.path]
            assert line.marks and line.marks[-1][1] < asked.at  # the words before it have been heard
            match line:
                case Twilio():
                    assert asked.path.endswith(f"/twilio/2010-04-01/Accounts/{TWILIO_ACCOUNT}/Calls/{line.call}.json")
                    assert asked.fields == {"Twiml": "<Response><Dial><Number>+442079460018</Number></Dial></Response>"}
                    assert asked.authorization == basic(TWILIO_ACCOUNT, TWILIO_TOKEN)
                case Telnyx():
                    assert (asked.method, asked.path) == ("POST", f"/telnyx/v2/calls/{line.call}/actions/transfer")
                    headers = [{"name": "X-Site", "value": "harbour"}]
                    assert asked.fields == {"to": "+442079460018", "custom_headers": headers}
                    assert asked.authorization == f"Bearer {TELNYX_KEY}"
                case Plivo():
                    path = f"/plivo/v1/Account/{PLIVO_ACCOUNT}/Call/{line.call}/"
                    assert (asked.method, asked.path, asked.fields["legs"]) == ("POST", path, "aleg")
                    assert asked.xml == "<Response><Dial><Number>+442079460018</Number></Dial></Response>"
                    assert asked.authorization == basic(PLIVO_ACCOUNT, PLIVO_TOKEN)

        await each(at, LINES, fact)
        async with at.session.get(f"{at.url}/voice/plivo-transfer/{SystemRandom().uuid()}") as reply:
            assert reply.status == 404

    on_the_telephone(tmp_path, then, files=ACTING)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def is_hang_up(line: Line, asked: Any) -> bool:
    match line:
        case Twilio():
            return bool(asked.fields == {"Status": "completed"})
        case Telnyx():
            return bool(asked.path.endswith("/actions/hangup"))
        case _:
            return bool(asked.method == "DELETE")


def test_the_agent_hangs_up_when_its_goodbye_has_been_heard(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: Line) -> None:
            await line.dial()
            await line.hears("Hi.")
            line.say("goodbye")
            await line.over()
            await line.hears("Bye now.")
            assert (await at.ended(line.call))[0].end_reason == "hangup"
            if isinstance(line, Asterisk):
                assert line.is_hung_up
                return
            asked = await at.api.of(line.call)
            assert is_hang_up(line, asked) and line.marks[-1][1] < asked.at

        await each(at, LINES, fact)

    on_the_telephone(tmp_path, then, files=ACTING)


def test_a_carrier_that_never_says_what_it_has_played_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "PLAYED_SECONDS", 0.6)

    async def then(at: Exchange) -> None:
        async def fact(line: WebLine) -> None:
            line.is_echoing = False
            await line.dial()
            await line.hears("Hi.")
            line.say("goodbye")
            assert is_hang_up(line, await at.api.of(line.call))
            await line.over()

        await each(at, WEB_LINES, fact)

    on_the_telephone(tmp_path, then, files=ACTING)


def test_a_connection_that_breaks_is_a_caller_who_has_hung_up(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: Line) -> None:
            await line.dial()
            await line.hears("Hi.")
            await line.drop()
            assert (await at.ended(line.call))[0].end_reason == "client"

        await each(at, LINES, fact)

    on_the_telephone(tmp_path, then)


def test_a_carrier_whose_api_is_away_costs_the_record_nothing(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        at.api.refusal = (500, "")

        async def fact(line: WebLine) -> None:
            await line.dial()
            await line.hears("Hi.")
            line.say("goodbye" if line.name == "telnyx" else "a person")
            await line.over()
            reason = "hangup" if line.name == "telnyx" else "handoff"
            assert (await at.ended(line.call))[0].end_reason == reason

        await each(at, WEB_LINES, fact)
        await another_is_answered(at)

    on_the_telephone(tmp_path, then, files=ACTING)


# What a carrier's API is asked.


def test_what_the_apis_are_asked_for_each_way_of_passing_a_call_on() -> None:
    async def check() -> None:
        async with controls() as (api, twilio_control, telnyx_control, plivo_control):
            number = Transfer(destination="d", method="invite", number="+44 & 1", caller_id="+4420", headers={"a": "b"})
            sip = Transfer(destination="d", method="refer", number="sip:d@example.org", headers={"X-A": "b", "c": "d"})
            assert await telnyx_control.transfer("v3:a_-B", number) and await telnyx_control.transfer("v3:a_-B", sip)
            assert [(asked.path, asked.fields) for asked in api.asked] == [
                ("/v2/calls/v3:a_-B/actions/transfer", {"to": "+44 & 1", "from": "+4420"}),
                (
                    "/v2/calls/v3:a_-B/actions/refer",
                    {"sip_address": "sip:d@example.org", "custom_headers": [{"name": "X-A", "value": "b"}]},
                ),
            ]
            api.asked.clear()
            assert plivo.transfer_xml(number) == (
                '<Response><Dial callerId="+4420"><Number>+44 &amp; 1</Number></Dial></Response>'
            )
            assert plivo.transfer_xml(sip) == (
                '<Response><Dial><User sipHeaders="A=b,c=d">sip:d@example.org</User></Dial></Response>'
            )
            for control in (twilio_control, telnyx_control, plivo_control):
                assert not await control.transfer("abc", Transfer(destination="d"))  # to nobody
            assert api.asked == []

    run(check())


@asynccontextmanager
async def controls() -> AsyncIterator[tuple[Any, Control, Control, Control]]:
    async with rest() as api:
        yield (
            api,
            TwilioControl(account_sid="AC1", auth_token="t", base_url=api.url),
            TelnyxControl(api_key="k", base_url=api.url),
            PlivoControl(auth_id="MA1", auth_token="t", base_url=api.url, public_url=api.url, random=SystemRandom()),
        )


def test_an_id_that_is_none_goes_into_no_address() -> None:
    async def check() -> None:
        async with controls() as (api, *found):
            transfer = Transfer(destination="d", number="+44")
            for control in found:
                for id_ in ("", "../x", "a/b", "a?b", "a#b", "a%2e", "é", "a\n"):
                    await control.hang_up(id_)
                    await control.transfer(id_, transfer)
            assert api.asked == []

    run(check())


def test_a_call_that_is_over_already_is_as_good_as_hung_up_and_any_other_refusal_is_told() -> None:
    async def check() -> None:
        async with controls() as (api, *found):
            over = json.dumps({"errors": [{"code": "90018", "title": "Call has already ended"}]})
            for control in found:
                api.refusal = (404, "")
                await control.hang_up("abc")
            api.refusal = (422, over)
            await found[1].hang_up("abc")
            for refusal in ((401, ""), (422, '{"errors": [{"code": "10015"}]}'), (422, "["), (500, over)):
                api.refusal = refusal
                for control in found:
                    with pytest.raises(CarrierError):
                        await control.hang_up("abc")
        for control in found:
            with pytest.raises(CarrierError, match="reached"):
                await control.hang_up("abc")

    run(check())


# What may come in place of a call.


NONSENSE: tuple[dict[str, Any] | str | bytes, ...] = (
    *("", "{", "null", "[]", "0", '{"event": 5}', '{"event": ""}', '{"media": {}}', "\x00"),
    *(b"", b"\xff\xfe", b"\x00" * 640),
    {"event": "dtmf"},
    {"event": "dtmf", "dtmf": {"digit": ""}},
    {"event": "media", "media": {"payload": 5}},
    {"event": "media", "media": {"payload": "!"}},
    {"event": "media", "media": {"payload": "A" * 120_000}},
    {"event": "start", "start": []},
    {"event": "clearedAudio"},
    {"event": "mark", "mark": {"name": "another"}},
    {"event": "playedStream", "name": "another"},
    *({"event": f"news {number}"} for number in range(3)),
)


def test_messages_that_make_no_sense_do_not_disturb_the_call(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: WebLine) -> None:
            await line.dial()
            for nonsense in NONSENSE:
                await line.send(nonsense)
            for length in (0, 1, 7, 0, 333):
                line.number += 1
                await line.send(line.media(base64.b64encode(b"\xff" * length).decode(), line.number))
            await line.hears("Hi.")
            line.say("hello")
            await line.hears("Fine.")
            await line.hang_up()
            assert [turn.input.text for turn in (await at.ended(line.call))[1]] == ["", "hello"]

        await each(at, WEB_LINES, fact)

    on_the_telephone(tmp_path, then)


def test_sound_that_comes_twice_or_late_is_heard_once(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: WebLine) -> None:
            await line.dial()
            await line.hears("Hi.")
            sent: list[bytes] = []
            once = line.send_sound

            async def twice(sound: bytes) -> None:
                sent.append(sound)
                await once(sound)
                number = line.number
                for before in (1, min(len(sent), 5)):  # the same once more, and one of before
                    line.number = number - before
                    await once(sent[-before])
                line.number = number

            line.send_sound = twice  # type: ignore[method-assign]
            line.say("hello")
            await line.hears("Fine.")
            await line.hang_up()
            _, turns = await at.ended(line.call)
            assert [turn.input.text for turn in turns] == ["", "hello"]
            sound = await recording(at, line.call, "user")
            frames = [sound[i : i + pcm.FRAME_BYTES] for i in range(0, len(sound), pcm.FRAME_BYTES)]
            assert 13 <= sum(pcm.level(frame) > 0.1 for frame in frames) <= 16  # 0.3 s

        await each(at, WEB_LINES, fact)

    on_the_telephone(tmp_path, then)


def test_a_flood_of_sound_costs_the_caller_no_more_than_what_is_too_much(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: Line) -> None:
            await line.dial()
            for _ in range(2_000):
                await line.send_sound(bytes(320))
            await line.hears("Hi.")
            line.say("hello")
            await line.hears("Fine.")
            await line.hang_up()
            turns = (await at.ended(line.call))[1]
            assert [turn.input.text for turn in turns] == ["", "hello"] and problems_of(turns) == {"flood"}

        await each(at, LINES, fact)

    on_the_telephone(tmp_path, then)


def test_a_line_on_which_nothing_makes_sense_is_closed(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        async def fact(line: WebLine) -> None:
            await line.dial()
            await line.hears("Hi.")
            for _ in range(50):
                await line.send("nonsense")
            await line.over()
            conversation, turns = await at.ended(line.call)
            assert conversation.end_reason == "client" and problems_of(turns) == {"malformed_message"}

        await each(at, WEB_LINES, fact)
        await another_is_answered(at)

    on_the_telephone(tmp_path, then)


def test_a_socket_that_does_not_begin_as_it_should_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued_line, "START_SECONDS", 0.5)

    async def begin_wrongly(line: WebLine, wrong: str) -> None:
        *before, start = line.beginning()
        text = json.dumps(start)
        match wrong:
            case "codec":
                await line.send(text.replace("audio/x-mulaw", "audio/x-l16").replace("PCMU", "OPUS"))
            case "rate":
                await line.send(text.replace("8000", "16000"))
            case "no start":
                for message in before:
                    await line.send(message)
                for _ in range(5):
                    await line.send_sound(bytes(320))
            case "no media format":
                await line.send({**start, "start": {}})
            case "depth":
                await line.send('{"event": "start", "more": ' + "[" * 200_000)
            case "stop":
                await line.send(line.stop())
            case _:
                pass

    async def then(at: Exchange) -> None:
        async def fact(line: WebLine, wrong: str) -> None:
            await line.connect()
            await begin_wrongly(line, wrong)
            line.listen()
            await line.over(3.0)
            assert await at.started.store.get("acme", "tiny", line.call) is None, (line.name, wrong)

        ways = ("nothing", "codec", "rate", "no start", "no media format", "depth", "stop")
        await asyncio.gather(*(each(at, WEB_LINES, partial(fact, wrong=wrong)) for wrong in ways))
        await another_is_answered(at, *WEB_LINES)

    on_the_telephone(tmp_path, then)


# Asterisk.


def test_audiosocket_takes_an_invitations_token_for_the_call_that_was_invited(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        opening = Opening(environment="sandbox", caller_number=CALLER, sip_headers={"X-Site": "harbour"})
        invitation = await at.started.services.calls.invite(OPERATOR, "tiny", opening)

        async def fact(line: Asterisk) -> None:
            line.call = invitation.token
            await line.dial()
            await line.hears("Hi.")
            await line.hang_up()
            conversation, _ = await at.ended(invitation.conversation_id)
            assert (conversation.from_number, conversation.sip_headers) == (CALLER, {"X-Site": "harbour"})

        async def again(line: Asterisk) -> None:  # no agent takes calls that nobody expects
            line.call = invitation.token
            await line.dial()
            await line.over()
            assert line.is_hung_up and line.heard.count(0) == len(line.heard)

        await each(at, [Asterisk], fact)
        await each(at, [Asterisk], again)

    on_the_telephone(tmp_path, then, agent=None)


def test_a_uuid_that_was_used_before_is_hung_up_on(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        first = Asterisk(at)
        await each(at, [lambda _: first], is_answered)
        second = Asterisk(at)
        second.call = first.call
        await second.dial()
        await second.over()
        assert second.is_hung_up
        await second.close()

    on_the_telephone(tmp_path, then)


def test_asterisk_is_answered_in_the_rate_in_which_it_speaks(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        rates = {0x11: 12_000, 0x12: 16_000, 0x13: 24_000, 0x15: 44_100, 0x16: 48_000, 0x18: 192_000}
        lines = [partial(Asterisk, kind=kind, rate=rate) for kind, rate in rates.items()]
        await each(at, lines, spoken_to)

    async def spoken_to(line: Asterisk) -> None:
        await line.connect()
        await line.begin()
        await line.send_sound(bytes(320))  # before the greeting: a call has one rate
        line.run()
        await line.hears("Hi.")
        line.say("hello")
        await line.hears("Fine.")
        await line.hang_up()
        assert [turn.input.text for turn in (await line.at.ended(line.call))[1]] == ["", "hello"]

    on_the_telephone(tmp_path, then)


def test_whatever_else_comes_to_audiosocket_disturbs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued_line, "START_SECONDS", 0.5)

    async def then(at: Exchange) -> None:
        def beginning_with(data: bytes) -> Callable[[Asterisk], Awaitable[None]]:
            async def fact(line: Asterisk) -> None:
                await line.connect()
                await line.send_raw(data)
                line.listen()
                await line.over(3.0)

            return fact

        hostile = (
            b"",  # says nothing
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x01\x00\x10half",
            b"\x01\x00\x02ab",  # no UUID
            b"\x01\x00\x00" * 50,
            b"\x00\x00\x00",
            b"\xff\x00\x01\x02",
        )
        await asyncio.gather(*(each(at, [Asterisk], beginning_with(data)) for data in hostile))

        async def disturbed(line: Asterisk) -> None:
            await line.dial()
            for payload in (b"", b"x", bytes(333), bytes(65_535)):
                await line.send(0x10, payload)
                for kind in (0x02, 0x04, 0x19, 0x80, 0xFE, 0xFF):
                    await line.send(kind, payload)
            for key in (b"", b"12", b"\xff"):
                await line.send(0x03, key)
            await line.send(0x01, UUID(int=0).bytes)  # it has one
            await line.hears("Hi.")
            line.say("hello")
            await line.hears("Fine.")
            await line.hang_up()
            turns = (await at.ended(line.call))[1]
            assert [turn.input.text for turn in turns] == ["", "hello"]
            assert problems_of(turns) == {"carrier_error", "malformed_message"}

        await each(at, [Asterisk], disturbed)

    on_the_telephone(tmp_path, then)


def test_an_asterisk_that_takes_nothing_any_more_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued_line, "MOST_WAITING", 5)

    async def then(at: Exchange) -> None:
        async def fact(line: Asterisk) -> None:
            await line.dial()
            await until(lambda: at.started.services.calls.going_on, "the call")
            (held,) = at.lines
            for _ in range(20):  # none of which can be written meanwhile
                held.send(pcm.SILENCE)
            conversation, turns = await at.ended(line.call)
            assert conversation.end_reason == "client" and problems_of(turns) == {"line_blocked"}

        await each(at, [Asterisk], fact)

    on_the_telephone(tmp_path, then)


def test_calls_by_audiosocket_end_with_the_server(tmp_path: Path) -> None:
    async def then(at: Exchange) -> None:
        services = at.started.services
        server = AudioSocketServer(services.calls, services.deployments, "tiny/sandbox", "127.0.0.1", 0)
        await server.start()
        at.port = server.port
        line = Asterisk(at)
        await line.dial()
        await line.hears("Hi.")
        taken = AudioSocketServer(services.calls, services.deployments, None, "127.0.0.1", server.port)
        with pytest.raises(UsageError, match="VIVAVOCE_AUDIOSOCKET"):
            await taken.start()
        await server.close()
        await line.over()
        assert (await at.ended(line.call))[0].end_reason == "client"
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", server.port)
        await line.close()
        for agent in ("", "tiny", "tiny/", "/sandbox"):
            with pytest.raises(UsageError, match="AGENT/ENVIRONMENT"):
                AudioSocketServer(services.calls, services.deployments, agent, "127.0.0.1", 0)

    on_the_telephone(tmp_path, then)
