"""The doors into one application: the API, and the lines on which calls come in, for the carriers that are configured."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from vivavoce.api import app
from vivavoce.service.services import Services
from vivavoce.settings import Settings
from vivavoce.telephony import browser, doors, twilio
from vivavoce.telephony.doors import Door
from vivavoce.telephony.webhook import Carrier, webhook


def application(settings: Settings, services: Services) -> ASGIApp:
    sockets: list[Door] = [browser.DOOR]
    routes: list[BaseRoute] = [*browser.page()]
    if settings.public_url is not None:
        for carrier, door in _carriers(settings):
            sockets.append(door)
            routes.append(webhook(carrier, services.calls, services.deployments, settings.public_url))
    return doors.application(services.calls, sockets, routes, app.application(services))


def _carriers(settings: Settings) -> list[tuple[Carrier, Door]]:
    found = []
    if settings.twilio_account_sid and settings.twilio_auth_token:
        found.append(_twilio(settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_base_url))
    return found


def _twilio(account_sid: str, auth_token: str, base_url: str) -> tuple[Carrier, Door]:
    def is_signed(address: str, headers: Mapping[str, str], raw: bytes, fields: Mapping[str, str]) -> bool:
        return twilio.is_signed(auth_token, address, fields, headers.get("x-twilio-signature", ""))

    carrier = Carrier(
        name=twilio.NAME,
        is_signed=is_signed,
        caller_of=twilio.caller_of,
        stream_answer=twilio.stream_answer,
        busy_answer=twilio.busy_answer,
        stream=twilio.STREAM,
    )
    control = twilio.TwilioControl(account_sid=account_sid, auth_token=auth_token, base_url=base_url)
    return carrier, Door(path=twilio.STREAM, dialect=twilio.TwilioDialect, control=control)
