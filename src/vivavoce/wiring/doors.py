"""The doors into one application: the API, and the lines on which calls come in, for the carriers that are configured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from time import time
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from vivavoce.api import app
from vivavoce.api.admitted import Admitted
from vivavoce.console import app as console
from vivavoce.console.visit import Setting
from vivavoce.errors import UsageError
from vivavoce.service.services import Services
from vivavoce.settings import Settings
from vivavoce.telephony import browser, doors, plivo, telnyx, twilio
from vivavoce.telephony.dialect import Control, Dialect
from vivavoce.telephony.doors import Door
from vivavoce.telephony.webhook import Carrier, webhook
from vivavoce.wiring import SystemRandom


class _Entrance(Struct, frozen=True):
    """How a carrier announces a call, where it brings it, and what else it asks for."""

    carrier: Carrier
    door: Door
    routes: tuple[BaseRoute, ...] = ()


def application(settings: Settings, services: Services) -> ASGIApp:
    sockets: list[Door] = [browser.DOOR]
    setting = Setting(zone=ZoneInfo(settings.time_zone), public_url=settings.public_url)
    routes: list[BaseRoute] = [*console.routes(services, setting)]
    if settings.public_url is not None:
        for entrance in _entrances(settings, settings.public_url):
            sockets.append(entrance.door)
            routes.append(webhook(entrance.carrier, services.calls, services.deployments, settings.public_url))
            routes.extend(entrance.routes)
    return Admitted(doors.application(services.calls, sockets, routes, app.application(services)), services.admission)


@asynccontextmanager
async def lines(settings: Settings, services: Services) -> AsyncIterator[None]:
    """Takes calls that do not come by HTTP, while it lasts."""
    if settings.audiosocket is None:
        yield
        return
    from vivavoce.telephony.audiosocket import AudioSocketServer  # noqa: PLC0415  # few need it

    host, _, port = settings.audiosocket.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"VIVAVOCE_AUDIOSOCKET is {settings.audiosocket!r}; it should be HOST:PORT.")
    server = AudioSocketServer(services.calls, services.deployments, settings.audiosocket_agent, host, int(port))
    await server.start()
    try:
        yield
    finally:
        await server.close()


def _entrances(settings: Settings, public_url: str) -> Iterator[_Entrance]:
    if settings.twilio_account_sid and settings.twilio_auth_token:
        yield _twilio(settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_base_url)
    if settings.telnyx_api_key and settings.telnyx_public_key:
        yield _telnyx(settings.telnyx_api_key, settings.telnyx_public_key, settings.telnyx_url)
    if settings.plivo_auth_id and settings.plivo_auth_token:
        yield _plivo(settings.plivo_auth_id, settings.plivo_auth_token, settings.plivo_url, public_url)


_IsSigned = Callable[[str, Mapping[str, str], bytes, Mapping[str, str]], bool]


def _entrance(
    module: Any, is_signed: _IsSigned, dialect: Callable[[], Dialect], control: Control, *routes: BaseRoute
) -> _Entrance:
    """A carrier's module names its webhook, its socket and its answers alike."""
    carrier = Carrier(
        name=module.NAME,
        is_signed=is_signed,
        caller_of=module.caller_of,
        stream_answer=module.stream_answer,
        busy_answer=module.busy_answer,
        stream=module.STREAM,
    )
    return _Entrance(carrier, Door(name=module.NAME, path=module.STREAM, dialect=dialect, control=control), routes)


def _twilio(account_sid: str, auth_token: str, base_url: str) -> _Entrance:
    def is_signed(address: str, headers: Mapping[str, str], raw: bytes, fields: Mapping[str, str]) -> bool:
        return twilio.is_signed(auth_token, address, fields, headers.get("x-twilio-signature", ""))

    control = twilio.TwilioControl(account_sid=account_sid, auth_token=auth_token, base_url=base_url)
    return _entrance(twilio, is_signed, twilio.TwilioDialect, control)


def _telnyx(api_key: str, public_key: str, base_url: str) -> _Entrance:
    key = telnyx.public_key(public_key)

    def is_signed(address: str, headers: Mapping[str, str], raw: bytes, fields: Mapping[str, str]) -> bool:
        return telnyx.is_signed(key, headers, raw, time)

    control = telnyx.TelnyxControl(api_key=api_key, base_url=base_url)
    return _entrance(telnyx, is_signed, telnyx.TelnyxDialect, control)


def _plivo(auth_id: str, auth_token: str, base_url: str, public_url: str) -> _Entrance:
    def is_signed(address: str, headers: Mapping[str, str], raw: bytes, fields: Mapping[str, str]) -> bool:
        return plivo.is_signed(auth_token, address, fields, headers)

    control = plivo.PlivoControl(
        auth_id=auth_id, auth_token=auth_token, base_url=base_url, public_url=public_url, random=SystemRandom()
    )
    return _entrance(plivo, is_signed, plivo.PlivoDialect, control, control.route)
