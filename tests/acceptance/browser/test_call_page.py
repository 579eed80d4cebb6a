"""A call from the page, in the system's Chromium, with a sound file for a microphone."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.http import KEY, Process
from tests.support.talk import run
from vivavoce.audio import pcm, wav
from vivavoce.speech.hibari import HibariSynthesizer
from vivavoce.speech.interface import Voice

ROOT = Path(__file__).parents[3]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
GREETING_SECONDS = 13  # before the caller may speak
ANSWER_MILLISECONDS = 40_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    found = Process(
        str(ROOT / "examples" / "bike-workshop"), "--data", str(tmp_path_factory.mktemp("data")), "--model", "local"
    )
    yield found
    found.stop()


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Silence while the agent greets, then a question."""

    async def made() -> bytes:
        voice = HibariSynthesizer()
        sound = b"".join([s.pcm async for s in voice.speak("When are you open?", Voice())])
        await voice.close()
        return pcm.silence(GREETING_SECONDS * pcm.RATE) + sound + pcm.silence(60 * pcm.RATE)

    path = tmp_path_factory.mktemp("microphone") / "caller.wav"
    path.write_bytes(wav.of(run(made())))
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Browser]:
    assert CHROMIUM, "Chromium is needed; name it with CHROMIUM."
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone}%noloop",
                "--autoplay-policy=no-user-gesture-required",
                "--no-sandbox",
            ],
        )
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.new_page()
    problems: list[str] = []
    found.on("pageerror", lambda error: problems.append(str(error)))
    yield found
    found.close()
    assert problems == []


def get(server: Process, path: str) -> Any:
    request = urllib.request.Request(server.address + path, headers={"X-API-KEY": KEY})
    with urllib.request.urlopen(request, timeout=10) as reply:
        body = reply.read()
    return json.loads(body) if body.startswith(b"{") else body


def stored(server: Process, path: str) -> bytes:
    """The page knows that the call is over a moment before its recording is stored."""
    until = time.monotonic() + 10
    while True:
        try:
            return bytes(get(server, path))
        except urllib.error.HTTPError as error:
            assert error.code == 404 and time.monotonic() < until, error.read()
            time.sleep(0.1)


def test_a_caller_speaks_is_answered_presses_a_key_and_hangs_up(server: Process, page: Page) -> None:
    page.goto(f"{server.address}/call#key={KEY}")
    assert page.url.endswith("/call")  # the key is taken out of the address
    expect(page.locator("#agent")).to_have_value("bike-workshop")
    page.click("#call")
    expect(page.locator("#live")).to_be_visible(timeout=20_000)
    transcript = page.locator("#transcript")
    expect(transcript).to_contain_text("Hello, this is Spoke and Chain")
    expect(transcript).to_contain_text("When are you open", timeout=ANSWER_MILLISECONDS)
    expect(transcript).to_contain_text("Monday to Friday", timeout=10_000)
    expect(transcript).to_contain_text("Closed on Sundays", timeout=10_000)
    page.wait_for_timeout(9_000)  # the answer is played
    page.get_by_role("button", name="Key 5").click()
    page.get_by_role("button", name="Key #").click()
    expect(transcript.locator("li.user").last).to_contain_text("5", timeout=10_000)
    page.get_by_role("button", name="Mute").click()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    page.get_by_role("button", name="Hang up").click()
    expect(page.locator("#status")).to_have_text("The call is over.")
    expect(page.locator("#call")).to_be_enabled()
    conversation = page.locator("#record").inner_text().split()[-1]
    path = f"/v1/agents/bike-workshop/conversations/{conversation}"
    found = get(server, path)
    assert found["channel"] == "VOICE-SIP" and found["endReason"] == "client"
    assert [t["user_input"] or t["user_input_dtmf"] for t in found["turns"]][1:3] == ["When are you open?", "5"]
    sound = wav.parsed(stored(server, path + "/audio"))
    assert sound.channels == 2 and abs(sound.data_bytes / 64_000 - found["duration"]) <= 1.5


def test_a_wrong_key_is_told_and_the_page_can_be_used_again(server: Process, page: Page) -> None:
    page.goto(f"{server.address}/call")
    page.fill("#key", "vv_wrong")
    page.click("#call")
    expect(page.locator("#status")).to_contain_text("not valid", timeout=10_000)
    expect(page.locator("#call")).to_be_enabled()


def test_the_page_fits_a_telephone_and_brings_nothing_from_elsewhere(server: Process, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{server.address}/call")
    expect(page.locator("#agent")).to_have_value("bike-workshop")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert asked and all(url.startswith(server.address) for url in asked)
