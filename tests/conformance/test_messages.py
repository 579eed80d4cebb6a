"""What every sender of messages does, held against a server that speaks its provider's protocol."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.support.talk import run
from vivavoce.domain.conversation import OutgoingMessage
from vivavoce.messages.interface import MessageRefused, MessageUnavailable, Sender
from vivavoce.messages.log import LogSender
from vivavoce.messages.scripted import ScriptedSender
from vivavoce.messages.smtp import SmtpSender
from vivavoce.messages.twilio import TwilioSender, fields

SMS = OutgoingMessage(id="m-1", kind="sms", to="+442079460018", sender="+442079460019", content="Hallo Ä 1")
MAIL = OutgoingMessage(id="m-1", kind="email", to="ada@example.com", content="Dear Ada", fields={"subject": "Hi"})


class Provider:
    """`status` is how it answers; `inbox` what a recipient has, by idempotency key; `seen` every request."""

    def __init__(self) -> None:
        self.status = "ok"
        self.inbox: dict[str, str] = {}
        self.seen: list[dict[str, Any]] = []
        self.address = ""

    # Twilio

    async def post(self, request: web.Request) -> web.Response:
        form = {k: str(v) for k, v in (await request.post()).items()}
        key = request.headers["I-Twilio-Idempotency-Token"]
        self.seen.append({"path": request.path, "auth": request.headers["Authorization"], **form})
        if self.status == "busy":
            return web.Response(status=503)
        if self.status == "refuses":
            return web.json_response({"code": 21211, "message": f"{form['To']} is not a number"}, status=400)
        self.inbox.setdefault(key, form.get("Body", ""))
        return web.json_response({"sid": "SM1"}, status=201)

    # SMTP

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def tell(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        tell("220 here")
        while line := (await reader.readline()).decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                tell("250 here")
            elif verb == "DATA":
                tell("354 go on")
                text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                key = re.search(r"Message-ID: <([^@]+)@", text)
                assert key
                if self.status == "ok":
                    self.inbox.setdefault(key[1], text)
                tell({"ok": "250 taken", "busy": "451 later", "refuses": "554 never"}[self.status])
            elif verb == "QUIT":
                tell("221 bye")
                break
            else:
                tell("250 fine")
        writer.close()


@asynccontextmanager
async def twilio() -> AsyncIterator[tuple[Sender, Provider]]:
    provider = Provider()
    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/AC1/Messages.json", provider.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    sender = TwilioSender(account_sid="AC1", auth_token="secret", base_url=url)
    yield sender, provider
    await sender.close()
    await runner.cleanup()


@asynccontextmanager
async def smtp() -> AsyncIterator[tuple[Sender, Provider]]:
    provider = Provider()
    server = await asyncio.start_server(provider.talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield SmtpSender(f"smtp://127.0.0.1:{port}", sender="agent@example.org"), provider
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def scripted() -> AsyncIterator[tuple[Sender, Provider]]:
    provider = Provider()

    class Told(ScriptedSender):
        async def send(self, message: OutgoingMessage) -> Any:
            if provider.status != "ok":
                self.failures = [(MessageUnavailable if provider.status == "busy" else MessageRefused)("told")]
            receipt = await super().send(message)
            provider.inbox = {key: sent.content for key, sent in self.inbox.items()}
            return receipt

    yield Told(), provider


Make = Callable[[], Any]
ADAPTERS = pytest.mark.parametrize(
    ("make", "message"), [(twilio, SMS), (smtp, MAIL), (scripted, SMS)], ids=["twilio", "smtp", "scripted"]
)


@ADAPTERS
def test_a_message_arrives_once_however_often_it_is_sent_with_its_key(make: Make, message: OutgoingMessage) -> None:
    async def check() -> None:
        async with make() as (sender, provider):
            receipts = [await sender.send(message) for _ in range(3)]
            assert all(receipt.is_sent and receipt.provider == sender.name for receipt in receipts)
            assert len(provider.inbox) == 1 and message.id in provider.inbox

    run(check())


@ADAPTERS
def test_a_busy_provider_may_be_asked_again_and_one_that_refuses_may_not(make: Make, message: OutgoingMessage) -> None:
    async def check() -> None:
        async with make() as (sender, provider):
            provider.status = "busy"
            with pytest.raises(MessageUnavailable) as busy:
                await sender.send(message)
            provider.status = "refuses"
            with pytest.raises(MessageRefused) as refused:
                await sender.send(message)
            assert busy.value.retryable and not refused.value.retryable
            assert message.to not in refused.value.message + busy.value.message and provider.inbox == {}

    run(check())


def test_a_provider_that_is_away_is_unavailable() -> None:
    async def check() -> None:
        away = TwilioSender(account_sid="A", auth_token="t", base_url="http://127.0.0.1:9")
        with pytest.raises(MessageUnavailable):
            await away.send(SMS)
        await away.close()
        with pytest.raises(MessageUnavailable):
            await SmtpSender("smtp://127.0.0.1:9", sender="a@b.c").send(MAIL)

    run(check())


def test_twilio_is_given_the_form_that_each_kind_of_message_has() -> None:
    service = "MG" + "0" * 32
    assert fields(SMS) == {"To": SMS.to, "From": SMS.sender, "Body": SMS.content}
    assert fields(OutgoingMessage(kind="sms", to="+1", sender=service, content="x"))["MessagingServiceSid"] == service
    assert fields(OutgoingMessage(kind="whatsapp", to="+1", sender="+2", content="x")) == {
        "To": "whatsapp:+1", "From": "whatsapp:+2", "Body": "x",
    }  # fmt: skip
    template = OutgoingMessage(
        kind="content_template", to="+1", sender="+2", template="HX1", fields={"variables": {"1": "Ada"}}
    )
    assert fields(template) == {"To": "+1", "From": "+2", "ContentSid": "HX1", "ContentVariables": '{"1":"Ada"}'}
    for lacking in (OutgoingMessage(kind="sms", sender="+1"), OutgoingMessage(kind="sms", to="+1")):
        with pytest.raises(MessageRefused):
            fields(lacking)


def test_twilio_is_asked_with_the_accounts_credentials() -> None:
    async def check() -> None:
        async with twilio() as (sender, provider):
            await sender.send(SMS)
            assert provider.seen[0]["auth"] == "Basic " + base64.b64encode(b"AC1:secret").decode()

    run(check())


@pytest.mark.parametrize("evil", ["a@b.c\r\nBcc: everyone@example.com", "", "a@b.c\nSubject: x"])
def test_an_address_cannot_add_lines_to_the_head_of_a_letter(evil: str) -> None:
    async def check() -> None:
        async with smtp() as (sender, provider):
            with pytest.raises(MessageRefused):
                await sender.send(OutgoingMessage(id="m", kind="email", to=evil, content="x"))
            assert provider.inbox == {}

    run(check())


def test_without_a_provider_the_log_tells_of_a_message_but_not_what_or_to_whom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    receipt = run(LogSender().send(SMS))
    assert not receipt.is_sent and "m-1" in caplog.text
    assert SMS.to not in caplog.text and SMS.content not in caplog.text
