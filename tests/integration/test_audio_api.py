"""Recordings, the audio cache and browser calls over HTTP: parts, rights, both spellings, bad input."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.calls import ECHO, VOICE, Exchange
from tests.support.http import KEY, Api, api
from tests.support.talk import run, script, write
from vivavoce.audio import pcm, wav
from vivavoce.speech.fallback import FallbackRecognizer, FallbackSynthesizer
from vivavoce.speech.loudness import LoudnessActivity
from vivavoce.speech.scripted import ScriptedRecognizer, ScriptedSynthesizer, Tongue
from vivavoce.voice.call import Engines
from vivavoce.voice.simulated import HangUp


@asynccontextmanager
async def serving(folder: Path, **overrides: Any) -> AsyncIterator[tuple[Api, Exchange]]:
    tongue = Tongue()
    engines = Engines(
        recognizer=FallbackRecognizer([ScriptedRecognizer(tongue)]),
        synthesizer=FallbackSynthesizer([ScriptedSynthesizer(tongue)]),
        activity=LoudnessActivity(),
    )
    async with api(write(folder, VOICE), script(ECHO), engines=lambda: engines, **overrides) as http:
        assert http.started is not None
        yield http, Exchange(http.started, tongue)


def test_a_recording_is_served_whole_in_parts_and_not_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            held = await phone.call("good day")
            path = f"/v1/agents/tiny/conversations/{held.found.conversation.id}/audio"
            status, whole, headers = await http.call("GET", path)
            assert (
                status == 200
                and headers["content-type"] == "audio/wav"
                and len(whole) == int(headers["content-length"])
            )
            assert wav.parsed(whole).channels == 2 and headers["accept-ranges"] == "bytes"
            for start, end in ((0, 9), (30, 60), (44, 44), (len(whole) - 5, len(whole) - 1)):
                status, part, found = await http.call("GET", path, headers={"Range": f"bytes={start}-{end}"})
                assert status == 206 and part == whole[start : end + 1]
                assert found["content-range"] == f"bytes {start}-{end}/{len(whole)}"
            assert (await http.call("GET", path, headers={"Range": "bytes=-7"}))[1] == whole[-7:]
            assert (await http.call("GET", path, headers={"Range": "bytes=100-"}))[1] == whole[100:]
            status, refused, _ = await http.call("GET", path, headers={"Range": f"bytes={len(whole)}-"})
            assert (status, refused["error_code"]) == (416, "RANGE_NOT_SATISFIABLE")
            for odd in ("bytes=", "bytes=5-2", "pages=1-2", "bytes=a-b", "bytes=0-1,5-6"):
                status, _, _ = await http.call("GET", path, headers={"Range": odd})
                assert status in (200, 416), odd
            assert (await http.call("GET", path, headers={"If-None-Match": headers["etag"]}))[0] == 304
            status, part, _ = await http.call("GET", path, headers={"Range": "bytes=0-1", "If-Range": '"another"'})
            assert status == 200 and len(part) == len(whole)
            user = (await http.call("GET", path + "?direction=user"))[1]
            agent = (await http.call("GET", path + "?direction=agent"))[1]
            mono = (await http.call("GET", path + "?channels=1"))[1]
            assert len(user) == len(agent) == len(mono) == (len(whole) - 44) // 2 + 44
            assert wav.parsed(user).channels == 1
            status, _, found = await http.call("GET", path + "?direction=user", headers={"Range": "bytes=45-99"})
            assert (await http.call("GET", path + "?direction=user", headers={"Range": "bytes=45-99"}))[1] == user[
                45:100
            ]
            status, body, found = await http.call("HEAD", path)
            assert status == 200 and body == b"" and int(found["content-length"]) == len(whole)

    run(scenario())


def test_one_turn_of_a_call_can_be_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            held = await phone.call("good day")
            base = f"/v1/agents/tiny/conversations/{held.found.conversation.id}/turns"
            user = (await http.call("GET", f"{base}/1/audio"))[1]
            own = phone.say("good day").sound
            assert own in user and len(user) - 44 <= len(own) + 4 * 1600 + 4 * pcm.FRAME_BYTES
            agent = (await http.call("GET", f"{base}/1/audio?direction=agent"))[1]
            assert phone.say("You said good day").sound in agent
            for path, code in (
                (f"{base}/9/audio", "TURN_NOT_FOUND"),
                (f"{base}/0/audio?direction=user", "CONVERSATIONS_RECORDING_NOT_FOUND"),
            ):
                status, refused, _ = await http.call("GET", path)
                assert (status, refused["error_code"]) == (404, code)
            assert (await http.call("GET", f"{base}/x/audio"))[0] == 400

    run(scenario())


def test_a_reader_without_the_right_gets_the_redacted_recording_whatever_it_asks_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            held = await phone.call("my name is Margaret Donnelly")
            body = {"name": "reader", "permissions": ["read"], "agents": ["tiny"], "accountId": "acme"}
            status, made, _ = await http.call("POST", "/v1/keys", body)
            assert status == 201, made
            path = f"/v1/agents/tiny/conversations/{held.found.conversation.id}/audio?direction=user"
            raw = (await http.call("GET", path))[1]
            status, refused, _ = await http.call("GET", path, key=made["key"])
            assert (status, refused["error_code"]) == (404, "CONVERSATIONS_RECORDING_NOT_FOUND")
            assert "redacted" in refused["error_message"]
            assert http.started is not None
            await http.started.work.run_due()
            redacted = (await http.call("GET", path + "&redacted=false", key=made["key"]))[1]
            assert (
                redacted
                == (await http.call("GET", path + "&redacted=true"))[1]
                != raw
                == (await http.call("GET", path))[1]
            )
            assert len(redacted) == len(raw)

    run(scenario())


def test_debug_chat_tells_where_its_reply_can_be_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            opened = await http.open()
            url = opened["metadata"]["agentResponseAudioUrl"]
            status, sound, headers = await http.call("GET", url)
            assert status == 200 and headers["content-type"] == "audio/wav"
            assert sound[44:] == phone.say("Hello").sound
            assert (await http.call("GET", url, headers={"If-None-Match": headers["etag"]}))[0] == 304
            web = await http.open(channel="webchat.polyai")
            assert "agentResponseAudioUrl" not in web["metadata"]

    run(scenario())


def test_the_audio_cache_has_its_seven_operations_in_both_spellings(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            for _ in range(3):
                await phone.call(HangUp())
            base = "/v1/agents/tiny/audio-cache"
            status, found, _ = await http.call("GET", base + "?limit=5&offset=0&sort=hit_count:desc")
            (entry,) = found["entries"]
            assert status == 200 and found["totalCount"] == found["total_count"] == 1
            assert entry["transcript"] == "Hello" and entry["id"].isdecimal()
            for camel, snake in (
                ("hitCount", "hit_count"),
                ("cachedAt", "cached_at"),
                ("providerVoiceId", "provider_voice_id"),
            ):
                assert entry[camel] == entry[snake]
            file = f"{base}/{entry['id']}/file"
            assert (await http.call("GET", file))[1] == wav.of(phone.say("Hello").sound)
            own = wav.of(phone.say("Good morning").sound)
            sent = {"Content-Type": "audio/wav", "X-Filename": "c.wav"}
            assert (await http.call("PATCH", file, own, headers=sent))[0] == 204
            assert (await http.call("GET", file))[1] == own
            form = aiohttp.FormData()
            form.add_field("file", own, filename="c.wav", content_type="audio/wav")
            form.add_field(
                "settings", json.dumps({"text": "Good morning", "config": {"stability": 0.5, "modelId": "m"}})
            )
            details = f"{http.url}{base}/{entry['id']}/details"
            async with http.session.put(details, data=form, headers={"X-API-KEY": KEY}) as reply:
                assert reply.status == 204, await reply.text()
            status, found, _ = await http.call("GET", base)
            assert found["entries"][0]["transcript"] == "Good morning" and found["entries"][0]["regenerated"]
            asked = {"text": "Hi", "config": {}}
            status, made, _ = await http.call("POST", f"{base}/{entry['id']}/synthesize", asked)
            assert status == 200 and made == wav.of(phone.say("Hi").sound)
            status, gone, _ = await http.call("POST", f"{base}/bulk-delete", {"ids": [entry["id"], "7"]})
            assert (status, gone) == (200, {"deleted": [entry["id"]], "failed": ["7"]})
            for _ in range(2):
                await phone.call(HangUp())
            (entry,) = (await http.call("GET", base))[1]["entries"]
            assert (await http.call("DELETE", f"{base}/{entry['id']}"))[:2] == (200, {"success": True})
            assert (await http.call("DELETE", f"{base}/{entry['id']}"))[0] == 404

    run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "?sort=colour:desc", None, {}, 400),
        ("GET", "?limit=201", None, {}, 400),
        ("POST", "/bulk-delete", {"ids": []}, {}, 400),
        ("POST", "/bulk-delete", {"ids": [str(n) for n in range(21)]}, {}, 400),
        ("PATCH", "/{id}/file", b"", {}, 400),
        ("PATCH", "/{id}/file", b"RIFF....WAVE", {}, 400),
        ("PATCH", "/{id}/file", b"\0" * 6_100_000, {}, 413),
        ("PATCH", "/5/file", wav.of(bytes(640)), {}, 404),
        ("PUT", "/{id}/details", b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
        ("PUT", "/{id}/details", b"{}", {"Content-Type": "application/json"}, 400),
        ("POST", "/{id}/synthesize", {"text": "", "config": {}}, {}, 400),
        ("POST", "/{id}/synthesize", {"text": "…", "config": {}}, {}, 400),
        ("POST", "/{id}/synthesize", {"text": "x" * 6000, "config": {}}, {}, 400),
    ],
)
def test_bad_input_to_the_audio_cache_is_told_of(
    tmp_path: Path, method: str, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            for _ in range(2):
                await phone.call(HangUp())
            (entry,) = (await http.call("GET", "/v1/agents/tiny/audio-cache"))[1]["entries"]
            found, reply, _ = await http.call(
                method, "/v1/agents/tiny/audio-cache" + path.replace("{id}", entry["id"]), body, headers=headers
            )
            assert found == status, reply
            assert reply["error_message"]

    run(scenario())


# A call from a page.


async def dial(http: Api, **body: Any) -> tuple[int, Any]:
    status, reply, _ = await http.call("POST", "/v1/agents/tiny/calls", {"clientEnv": "sandbox", **body})
    return status, reply


async def told(socket: aiohttp.ClientWebSocketResponse, role: str) -> str:
    """The next thing that is said."""
    while True:
        message = await asyncio.wait_for(socket.receive(), 10)
        if message.type is aiohttp.WSMsgType.TEXT:
            said = json.loads(message.data)
            if said["type"] == "transcript" and said["role"] == role:
                return str(said["text"])
        elif message.type is not aiohttp.WSMsgType.BINARY:
            raise AssertionError(message)


async def speak(socket: aiohttp.ClientWebSocketResponse, sound: bytes) -> None:
    whole = pcm.whole_frames(sound + pcm.silence(pcm.RATE))
    for at in range(0, len(whole), pcm.FRAME_BYTES):
        await socket.send_bytes(whole[at : at + pcm.FRAME_BYTES])
        await asyncio.sleep(0.018)


def test_a_page_calls_over_a_socket(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            status, invited = await dial(http, callerNumber="+447700900461")
            assert status == 201
            async with http.session.ws_connect(http.url + invited["path"]) as socket:
                await socket.send_str('{"type":"start"}')
                assert await told(socket, "agent") == "Hello"
                await speak(socket, pcm.silence(pcm.RATE // 2))
                speaking = asyncio.ensure_future(speak(socket, phone.say("good day").sound))
                assert await told(socket, "user") == "good day" and await told(socket, "agent") == "You said good day"
                await speaking
                await socket.send_str('{"type":"key","key":"5"}')
                await socket.send_str('{"type":"key","key":"#"}')
                speaking = asyncio.ensure_future(speak(socket, pcm.silence(pcm.RATE)))
                await speaking
                await socket.send_str('{"type":"stop"}')
                while (await asyncio.wait_for(socket.receive(), 10)).type is not aiohttp.WSMsgType.CLOSE:
                    pass
            async with http.session.ws_connect(http.url + invited["path"]) as socket:  # once is enough
                assert (await socket.receive()).data == 4401
            path = f"/v1/agents/tiny/conversations/{invited['conversationId']}"
            found = (await http.call("GET", path))[1]
            assert found["endReason"] == "client" and found["fromNumber"] == "+447700900461"
            assert [t["user_input"] for t in found["turns"]][:2] == ["", "good day"]

    run(scenario())


def test_a_socket_that_misbehaves_costs_nobody_else_anything(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, phone):
            for bad in (
                b"\1",
                b"\0" * 100_001,
                "{",
                '{"type":"dance"}',
                '{"type":"key","key":""}',
                "null",
                '{"type":"start"}' * 2,
                b"",
            ):
                _, invited = await dial(http)
                async with http.session.ws_connect(http.url + invited["path"]) as socket:
                    await socket.send_str('{"type":"start"}')
                    for _ in range(60):
                        if socket.closed:
                            break
                        try:
                            await (socket.send_bytes(bad) if isinstance(bad, bytes) else socket.send_str(bad))
                        except ConnectionError:
                            break
            status, _ = await dial(http)
            assert status == 201
            held = await phone.call("good day")
            assert held.said[1] == ("good day", "You said good day")

    run(scenario())


def test_a_call_that_cannot_begin_is_told_why_before_the_socket(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (http, _):
            await http.open(conversationId="taken")
            for body, status, code in (
                ({"conversationId": "taken"}, 409, "CONVERSATION_ID_EXISTS"),
                ({"conversationId": "../x"}, 400, "SCHEMA_VALIDATION_FAILED"),
                ({"clientEnv": "live"}, 400, "CHAT_DRAFT_NOT_EXIST"),
                ({"clientEnv": "moon"}, 400, "SCHEMA_VALIDATION_FAILED"),
            ):
                found, refused, _ = await http.call("POST", "/v1/agents/tiny/calls", {"clientEnv": "sandbox", **body})
                assert (found, refused["error_code"]) == (status, code)

    run(scenario())


def test_a_server_without_engines_serves_everything_but_calls(tmp_path: Path) -> None:
    from vivavoce.speech.interface import SpeechError

    def none() -> Engines:
        raise SpeechError("Speech on this machine needs the voice extra: pip install 'vivavoce[voice]'.")

    async def scenario() -> None:
        async with api(write(tmp_path, VOICE), script(ECHO), engines=none) as http:
            await http.open()
            status, refused, _ = await http.call("POST", "/v1/agents/tiny/calls", {"clientEnv": "sandbox"})
            assert (status, refused["error_code"]) == (503, "SPEECH_UNAVAILABLE") and "pip install" in refused[
                "error_message"
            ]

    run(scenario())
