"""A server, the system's Chromium with a sound file for a microphone, and pages that tell what goes wrong on them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.http import KEY, Process
from tests.support.talk import run
from vivavoce.audio import pcm, wav
from vivavoce.speech.hibari import HibariSynthesizer
from vivavoce.speech.interface import Voice

ROOT = Path(__file__).parents[3]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
GREETING_SECONDS = 13  # before the caller may speak
AGENT = "/console/agents/bike-workshop"
Watched = Callable[[BrowserContext], Page]


class Server(Process):
    """`vivavoce serve` on a port of its own, so that it can come back to it, over a folder that tests may change."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        super().__init__(str(self.folder), "--data", str(self.data), "--model", "local", port=self.port)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With one call in its record."""
    base = tmp_path_factory.mktemp("served")
    folder, data = base / "bike-workshop", base / "data"
    shutil.copytree(ROOT / "examples" / "bike-workshop", folder)
    call = [
        sys.executable,
        "-m",
        "vivavoce",
        "call",
        str(folder),
        "--script",
        str(ROOT / "examples" / "calls" / "booking.yaml"),
    ]
    subprocess.run(
        [*call, "--fast", "--data", str(data), "--out", str(base / "call.wav"), "--model", "local"],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "VIVAVOCE_RETRIEVAL": "lexical"},
    )  # fmt: skip
    found = Server(folder, data)
    yield found
    found.stop()


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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
def context(browser: Browser) -> Iterator[BrowserContext]:
    found = browser.new_context(viewport={"width": 1280, "height": 900})
    found.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
    yield found
    found.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Makes pages on which nothing may fail, and which nothing may break out of."""
    problems: list[str] = []

    def made(context: BrowserContext) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        return page

    yield made
    assert problems == []


@pytest.fixture
def page(context: BrowserContext, watched: Watched, server: Server) -> Page:
    """Signed in with every right."""
    found = watched(context)
    sign_in(found, server)
    return found


def sign_in(page: Page, server: Server, key: str = KEY) -> None:
    page.goto(f"{server.address}/console/sign-in#key={key}")
    page.wait_for_url("**/console")


def check_accessible(page: Page) -> None:
    """WCAG 2.2 AA and what else axe knows."""
    found = Axe().run(
        page, options={"preload": False}
    )  # it would make style sheets of its own, which the policy forbids
    told = [
        (v["id"], [n["html"][:160] + " | " + n.get("failureSummary", "")[:300] for n in v["nodes"][:3]])
        for v in found.response["violations"]
    ]
    assert told == [], told
