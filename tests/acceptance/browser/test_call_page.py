"""A call from the page, in the system's Chromium, with a sound file for a microphone."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from playwright.sync_api import Page, expect

from tests.acceptance.browser.conftest import Server, check_accessible
from tests.support.http import KEY
from vivavoce.audio import wav

ANSWER_MILLISECONDS = 40_000


def get(server: Server, path: str) -> Any:
    request = urllib.request.Request(server.address + path, headers={"X-API-KEY": KEY})
    with urllib.request.urlopen(request, timeout=10) as reply:
        body = reply.read()
    return json.loads(body) if body.startswith(b"{") else body


def stored(server: Server, path: str) -> bytes:
    """The page knows that the call is over a moment before the server has stored its end and its recording."""
    until = time.monotonic() + 10
    while True:
        try:
            return bytes(get(server, path))
        except urllib.error.HTTPError as error:
            assert error.code == 404 and time.monotonic() < until, error.read()
            time.sleep(0.1)


def test_a_caller_speaks_is_answered_presses_a_key_and_hangs_up(server: Server, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.address}/call")
    assert page.url.endswith("/console/agents/bike-workshop/talk?mode=call")
    check_accessible(page)
    page.click("#begin")
    expect(page.locator("#live")).to_be_visible(timeout=20_000)
    log, trace = page.locator("#log"), page.locator("#trace")
    expect(log).to_contain_text("Hello, this is Spoke and Chain")
    expect(log).to_contain_text("When are you open", timeout=ANSWER_MILLISECONDS)
    expect(log).to_contain_text("Monday to Friday", timeout=10_000)
    expect(log).to_contain_text("Closed on Sundays", timeout=10_000)
    expect(trace.locator("#turn-1")).to_contain_text("topics/opening_hours.yaml", timeout=10_000)
    page.wait_for_timeout(9_000)  # the answer is played
    page.get_by_role("button", name="Key 5").click()
    page.get_by_role("button", name="Key #").click()
    expect(log.locator(".user").last).to_contain_text("5", timeout=10_000)
    page.get_by_role("button", name="Mute").click()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    page.get_by_role("button", name="Hang up").click()
    expect(page.locator("#status")).to_have_text("The call is over.")
    expect(page.locator("#begin")).to_be_enabled()
    conversation = (page.locator("#record").get_attribute("href") or "").rpartition("/")[2]
    path = f"/v1/agents/bike-workshop/conversations/{conversation}"
    sound = wav.parsed(stored(server, path + "/audio"))
    found = get(server, path)
    assert found["channel"] == "VOICE-SIP" and found["endReason"] == "client"
    assert [t["user_input"] or t["user_input_dtmf"] for t in found["turns"]][1:3] == ["When are you open?", "5"]
    assert sound.channels == 2 and abs(sound.data_bytes / 64_000 - found["duration"]) <= 1.5
    assert all(url.startswith((server.address, server.address.replace("http", "ws"))) for url in asked)


def test_a_key_that_may_not_chat_is_told_so(server: Server, page: Page) -> None:
    body = json.dumps({"name": "reader", "permissions": ["read"]}).encode()
    request = urllib.request.Request(
        f"{server.address}/v1/keys", body, headers={"X-API-KEY": KEY, "Content-Type": "application/json"}
    )
    made = json.load(urllib.request.urlopen(request, timeout=10))
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{server.address}/console/sign-in#key={made['key']}")
    page.wait_for_url("**/console")
    page.goto(f"{server.address}/call")
    expect(page.locator("h1")).to_contain_text("lacks the permission 'chat'")
