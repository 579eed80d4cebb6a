"""SMS, WhatsApp and content templates through Twilio's Messages resource."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import aiohttp
import msgspec

from vivavoce.domain.conversation import OutgoingMessage, Receipt
from vivavoce.errors import NOT_JSON
from vivavoce.messages.interface import MessageRefused, MessageUnavailable

TIMEOUT_SECONDS = 15.0
_BUSY = {408, 425, 429, 500, 502, 503, 504}


class TwilioSender:
    name = "twilio"

    def __init__(self, *, account_sid: str, auth_token: str, base_url: str = "https://api.twilio.com") -> None:
        self._url = f"{base_url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._authorization = "Basic " + base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: OutgoingMessage) -> Receipt:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        try:
            async with self._session.post(
                self._url,
                data=fields(message),
                headers={"Authorization": self._authorization, "I-Twilio-Idempotency-Token": message.id},
                allow_redirects=False,
            ) as reply:
                body = await reply.read()
        except (TimeoutError, aiohttp.ClientError) as error:
            raise MessageUnavailable(f"Twilio cannot be reached ({type(error).__name__}).") from error
        if reply.status in _BUSY:
            raise MessageUnavailable(f"Twilio answered with status {reply.status}.")
        answer = _decoded(body)
        if reply.status not in (200, 201):
            # Its message may repeat the number; its code does not.
            raise MessageRefused(
                f"Twilio refused the message: status {reply.status}, error {answer.get('code', 'unknown')}."
            )
        return Receipt(provider=self.name, id=str(answer.get("sid") or ""))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
            self._session = None


def fields(message: OutgoingMessage) -> dict[str, str]:
    """The form that Twilio wants. A sender that begins with MG is a messaging service."""
    if not message.to:
        raise MessageRefused("The message has no number to go to.")
    if not message.sender:
        raise MessageRefused(
            "The message has no number to come from; give env_phone_numbers in config/sms_templates.yaml."
        )
    prefix = "whatsapp:" if message.kind == "whatsapp" else ""
    found = {"To": prefix + message.to.removeprefix("whatsapp:")}
    if message.sender.startswith("MG") and len(message.sender) == 34:
        found["MessagingServiceSid"] = message.sender
    else:
        found["From"] = prefix + message.sender.removeprefix("whatsapp:")
    if message.kind == "content_template":
        found["ContentSid"] = message.template
        variables = message.fields.get("variables") or message.fields.get("content_variables")
        if variables:
            found["ContentVariables"] = msgspec.json.encode(variables).decode()
    else:
        found["Body"] = message.content
    return found


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except NOT_JSON:
        return {}
    return found if isinstance(found, dict) else {}
