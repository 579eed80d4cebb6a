"""E-mail by SMTP. The message's id is its Message-ID, by which receivers know a second copy."""

from __future__ import annotations

import asyncio
import re
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from vivavoce.domain.conversation import OutgoingMessage, Receipt
from vivavoce.errors import UsageError
from vivavoce.messages.interface import MessageRefused, MessageUnavailable

TIMEOUT_SECONDS = 20.0
MAX_TO = 2000  # characters of all addresses
MAX_SUBJECT = 500
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
PORTS = {"smtp": 587, "smtps": 465}


class SmtpSender:
    """`url` is smtp://USER:PASSWORD@HOST:PORT (STARTTLS where the server offers it) or smtps:// (TLS from the start)."""

    name = "smtp"

    def __init__(self, url: str, *, sender: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise UsageError("VIVAVOCE_SMTP should be smtp://USER:PASSWORD@HOST:PORT or smtps://….")
        if "@" not in sender:
            raise UsageError("VIVAVOCE_EMAIL_FROM should be the address that e-mail comes from.")
        self._is_tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname, parts.port or PORTS[parts.scheme]
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._sender = sender

    async def send(self, message: OutgoingMessage) -> Receipt:
        letter = self._letter(message)
        try:
            await asyncio.to_thread(self._deliver, letter)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            code = getattr(error, "smtp_code", 550)
            kind = MessageUnavailable if 400 <= code < 500 else MessageRefused
            raise kind(f"The mail server refused the message (status {code}).") from error
        except smtplib.SMTPAuthenticationError as error:
            raise MessageRefused("The mail server does not take the user and password of VIVAVOCE_SMTP.") from error
        except (OSError, smtplib.SMTPException) as error:
            raise MessageUnavailable(f"The mail server cannot be reached ({type(error).__name__}).") from error
        return Receipt(provider=self.name, id=str(letter["Message-ID"]))

    def _letter(self, message: OutgoingMessage) -> EmailMessage:
        """Addresses are looked at by us: the library's own parser takes quadratic time over odd ones."""
        addresses = [address.strip() for address in message.to.split(",")] if len(message.to) <= MAX_TO else []
        if not addresses or not all(_ADDRESS.fullmatch(address) for address in addresses):
            raise MessageRefused("The e-mail has no address, or one that cannot be sent to.")
        subject = str(message.fields.get("subject") or "")
        if len(subject) > MAX_SUBJECT or any(c in subject for c in "\r\n"):
            raise MessageRefused("The subject is too long or has more than one line.")
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self._sender, ", ".join(addresses), subject
        letter["Message-ID"] = f"<{message.id}@{self._sender.rsplit('@', 1)[-1].rstrip('>')}>"
        letter.set_content(message.content)
        return letter

    def _deliver(self, letter: EmailMessage) -> None:
        context = ssl.create_default_context()
        connect = (
            smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_SECONDS, context=context)
            if self._is_tls
            else smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        )
        with connect as server:
            server.ehlo()
            if not self._is_tls and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            if self._user:
                server.login(self._user, self._password)
            server.send_message(letter)

    async def close(self) -> None: ...
