"""Messages leave after their turn is on disk, once from where the recipient stands, and the record says what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from tests.integration.test_turns import function
from tests.support.http import KEY, Process
from tests.support.talk import Talk, run, script, serving, write
from vivavoce.domain.conversation import SENT_KINDS, Delivery
from vivavoce.messages.interface import MessageRefused, MessageUnavailable, Sender
from vivavoce.messages.scripted import ScriptedSender
from vivavoce.service.keys import OPERATOR
from vivavoce.service.outbox import MESSAGE
from vivavoce.store.interface import StoreError
from vivavoce.wire.conversations import detail

MODEL = "rules:\n  - when: {said: act, tool: act}\n    call: {name: act}\n  - when: {said: template, tool: send_sms_template}\n    call: {name: send_sms_template, arguments: {template: hi, to_number: ''}}\notherwise: done\n"
FILES = {
    "agent_settings/rules.txt": "{{fn:act}} {{twilio_sms:hi}}",
    "config/sms_templates.yaml": "sms_templates:\n- name: hi\n  text: 'Hi $who'\n  env_phone_numbers: {live: '+9'}\n",
}
BODY = "conv.state.who = 'Ada'\nconv.send_sms_template(conv.caller_number, 'hi')\nconv.send_email('a@example.com', 'Body', subject='S')\nreturn 'ok'"


def hold(
    tmp_path: Path, sender: ScriptedSender, then: Callable[[Talk], Any], *, body: str = BODY, line: str = "act",
    more: dict[str, str] | None = None, data: Path | None = None,
) -> Any:  # fmt: skip
    async def go() -> Any:
        agent = write(tmp_path, {**FILES, "functions/act.py": function(body), **(more or {})})
        senders: dict[str, Sender] = dict.fromkeys(SENT_KINDS, sender)
        async with serving(agent, script(MODEL), senders=senders, data=data) as talk:
            one = talk()
            await one.started.work.stop()  # the test says when work is done
            await one.open(caller_number="+44123")
            await one.say(line)
            return await then(one)

    return run(go())


async def shown(talk: Talk) -> list[dict[str, Any]]:
    """The messages of all turns with their deliveries, as the API gives them."""
    found = await talk.started.services.conversations.get(OPERATOR, talk.agent, talk.id)
    events = detail(found.listed, found.turns, found.closing, found.deliveries)["functionEvents"]
    return [message for turn in events.values() for event in turn for message in event["messages"]]


def test_messages_go_out_after_the_commit_and_the_record_says_so(tmp_path: Path) -> None:
    sender = ScriptedSender()

    async def then(talk: Talk) -> list[dict[str, Any]]:
        assert sender.attempts == 0 and [m["delivery"]["status"] for m in await shown(talk)] == ["waiting"] * 2
        await talk.started.work.run_due()
        return await shown(talk)

    messages = hold(tmp_path, sender, then)
    assert [(m["kind"], m["to"], m["content"], m["delivery"]["status"]) for m in messages] == [
        ("sms", "+44123", "Hi Ada", "sent"),
        ("email", "a@example.com", "Body", "sent"),
    ]
    assert {m.content for m in sender.inbox.values()} == {"Hi Ada", "Body"} and sender.attempts == 2


def test_the_models_own_tool_sends_through_the_same_outbox(tmp_path: Path) -> None:
    sender = ScriptedSender()

    async def then(talk: Talk) -> None:
        await talk.started.work.run_due()

    hold(tmp_path, sender, then, line="template")
    assert [(m.to, m.sender, m.template) for m in sender.inbox.values()] == [("+44123", "+9", "hi")]


def test_a_crash_after_sending_is_one_message_to_the_recipient(tmp_path: Path) -> None:
    sender = ScriptedSender()

    async def then(talk: Talk) -> list[dict[str, Any]]:
        store = talk.started.store
        put, crashes = store.put_delivery, [True, True]

        async def dying(conversation: Any, delivery: Delivery) -> None:
            if crashes:
                crashes.pop()
                raise StoreError("the disk went away")  # the message is out, its being out is not written
            await put(conversation, delivery)

        store.put_delivery = dying  # type: ignore[method-assign]
        for _ in range(3):
            await due_again(talk)
        return await shown(talk)

    messages = hold(tmp_path, sender, then, body="conv.send_sms('+1', '+2', 'once')\nreturn 'ok'")
    assert sender.attempts == 3 and len(sender.inbox) == 1
    assert messages[0]["delivery"]["status"] == "sent"


async def due_again(talk: Talk) -> None:
    """Does what waits, however long it would have waited."""
    store = talk.started.store
    clock = talk.started.work._clock
    claimed = await store.claim_work(clock.now().replace(year=2100), clock.now().replace(year=2100), limit=50)
    for item in claimed:
        if item.work.kind == MESSAGE:
            await talk.started.work._do(item)


def test_a_busy_provider_is_asked_again_later_and_the_record_tells_meanwhile(tmp_path: Path) -> None:
    sender = ScriptedSender([MessageUnavailable("busy")])

    async def then(talk: Talk) -> list[Any]:
        await talk.started.work.run_due()
        first = (await shown(talk))[0]["delivery"]
        assert await talk.started.work.run_due() == 0  # not at once
        await due_again(talk)
        return [first, (await shown(talk))[0]["delivery"]]

    first, second = hold(tmp_path, sender, then, body="conv.send_sms('+1', '+2', 'x')\nreturn 'ok'")
    assert (first["status"], first["error"]) == ("waiting", "busy")
    assert (second["status"], second["attempts"], second["error"]) == ("sent", 2, None)


def test_a_refused_message_fails_at_once_and_retry_count_bounds_the_rest(tmp_path: Path) -> None:
    async def then(talk: Talk) -> dict[str, Any]:
        for _ in range(4):
            await due_again(talk)
        return dict((await shown(talk))[0]["delivery"])

    refused = ScriptedSender([MessageRefused("no such number")])
    assert hold(tmp_path, refused, then, body="conv.send_sms('+1', '+2', 'x')\nreturn 'ok'")["status"] == "failed"
    assert refused.attempts == 1
    busy = ScriptedSender([MessageUnavailable("busy")] * 9)
    body = "conv.send_sms('+1', '+2', 'x', retry_count=1)\nreturn 'ok'"
    found = hold(tmp_path / "b", busy, then, body=body)
    assert (found["status"], found["attempts"]) == ("failed", 2) and busy.attempts == 2


def test_what_the_end_function_sends_goes_out_too(tmp_path: Path) -> None:
    sender = ScriptedSender()
    more = {"functions/end_function.py": "def end_function(conv):\n    conv.send_sms('+1', '+2', 'Goodbye')\n"}

    async def then(talk: Talk) -> list[dict[str, Any]]:
        await talk.started.services.chats.end(OPERATOR, talk.agent, talk.id)
        await talk.started.work.run_due()
        await talk.started.work.run_due()
        return await shown(talk)

    messages = hold(tmp_path, sender, then, body="return 'ok'", more=more)
    assert [(m["content"], m["delivery"]["status"]) for m in messages] == [("Goodbye", "sent")]


def test_a_message_waits_through_a_restart(tmp_path: Path) -> None:
    """The work is in the same transaction as the turn: whoever starts next sends it."""
    data = tmp_path / "data"

    async def leave(talk: Talk) -> str:
        return talk.id

    away = ScriptedSender()
    body = "conv.send_sms('+1', '+2', 'later')\nreturn 'ok'"
    hold(tmp_path / "agent", away, leave, body=body, data=data)
    back = ScriptedSender()

    async def restart() -> None:
        senders: dict[str, Sender] = dict.fromkeys(SENT_KINDS, back)
        async with serving(tmp_path / "agent", script(MODEL), senders=senders, data=data) as talk:
            await talk().started.work.run_due()

    run(restart())
    assert away.inbox == {} and [m.content for m in back.inbox.values()] == ["later"]


def test_a_server_that_is_killed_before_it_sends_sends_once_after_its_restart(tmp_path: Path) -> None:
    """The provider is away while the turn is committed; the server is killed; whoever starts next delivers, with the same key."""

    async def check() -> None:
        inbox: dict[str, str] = {}
        attempts: list[int] = []
        is_away = True

        async def post(request: web.Request) -> web.Response:
            form = await request.post()
            attempts.append(1)
            if is_away:
                return web.Response(status=503)
            inbox.setdefault(request.headers["I-Twilio-Idempotency-Token"], str(form["Body"]))
            return web.json_response({"sid": "SM1"}, status=201)

        app = web.Application()
        app.router.add_post("/{rest:.*}", post)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        env = {
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "t",
            "VIVAVOCE_TWILIO_URL": f"http://127.0.0.1:{runner.addresses[0][1]}",
        }
        model = tmp_path / "model.yaml"
        model.write_text(MODEL)
        body = "conv.send_sms('+1', '+2', 'once')\nreturn 'ok'"
        folder = write(tmp_path / "agent", {**FILES, "functions/act.py": function(body)})
        arguments = (str(folder), "--data", str(tmp_path / "data"), "--model", f"scripted:{model}")
        try:
            server = await asyncio.to_thread(Process, *arguments, env=env)
            async with ClientSession(headers={"X-API-KEY": KEY}) as session:
                base = f"{server.address}/v1/agents/tiny/debug-chat"
                opened = await (await session.post(base, json={"clientEnv": "sandbox"})).json()
                said = {"clientEnv": "sandbox", "message": "act"}
                async with session.post(f"{base}/{opened['conversationId']}", json=said) as reply:
                    assert reply.status == 200 and (await reply.json())["response"]
            server.kill()
            is_away = False
            server = await asyncio.to_thread(Process, *arguments, env=env)
            for _ in range(600):
                if inbox:
                    break
                await asyncio.sleep(0.05)
            server.kill()
        finally:
            await runner.cleanup()
        assert list(inbox.values()) == ["once"]

    run(check())
