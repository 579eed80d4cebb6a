"""HTTP as uvicorn speaks it, with an end to waiting for who connects and says nothing, or says it letter by letter, and to how
much somebody may say before saying what it wants."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 20.0  # from the connection, or the first letter of a request, to the end of its headers
MAX_UPGRADE_BYTES, MOST_UPGRADE_HEADERS = 7 << 10, 100
FRAMING = 8  # bytes that may frame one of a body: chunks may be that small
MAX_HEADER_BYTES = 64 << 10  # of a request, its first line included
_TOLD = b"The headers are larger than 64 KiB in all, or, to open a WebSocket, than 7 KiB.\r\n"
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_TOLD), _TOLD)
)


class Patient(HttpToolsProtocol):
    """Patient, but not for ever."""

    _too_slow: asyncio.TimerHandle | None = None
    _is_in_headers = True
    _seen_bytes = 0  # of the message that is read
    _body_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """In small parts, since one part may hold more headers, or more of what frames a body, than anybody should keep."""
        view = memoryview(data)
        while view and not self.transport.is_closing():
            part, view = view[:MAX_HEADER_BYTES], view[MAX_HEADER_BYTES:]
            self._seen_bytes += len(part)
            super().data_received(bytes(part))
            beside = self._seen_bytes - self._body_bytes
            if self._is_in_headers and beside >= MAX_HEADER_BYTES:
                self._refuse()
            elif beside > 3 * MAX_HEADER_BYTES + FRAMING * self._body_bytes:  # trailers, and extensions of chunks
                self._give_up()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def handle_websocket_upgrade(self) -> None:
        """What reads the handshake from here on takes no more, and would keep the connection without a word."""
        headers = list(self.scope["headers"])
        size = len(self.url) + sum(len(name) + len(value) for name, value in headers)
        if size > MAX_UPGRADE_BYTES or len(headers) > MOST_UPGRADE_HEADERS:
            self._refuse()
        else:
            super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_headers()

    def on_headers_complete(self) -> None:
        self._is_in_headers = False
        self._forget()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_headers, self._seen_bytes, self._body_bytes = True, 0, 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._forget()
        self._too_slow = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _forget(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None

    def _refuse(self) -> None:
        self.transport.write(TOO_LARGE)
        self.transport.close()

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()
