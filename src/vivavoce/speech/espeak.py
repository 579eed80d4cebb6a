"""A voice for most languages: espeak-ng, as a process of its own, where it is installed. Robotic, but never silent."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

from vivavoce.audio import wav
from vivavoce.speech.interface import Sound, SpeechError, Unspeakable, Voice

NAME = "espeak-ng"
SECONDS = 10.0  # for one text
MOST_CHARACTERS = 5_000


def is_installed() -> bool:
    return shutil.which(NAME) is not None


class EspeakSynthesizer:
    name = NAME
    provider = NAME

    def __init__(self) -> None:
        path = shutil.which(NAME)
        if path is None:
            raise SpeechError("espeak-ng is not installed; it comes with most systems' packages.")
        self._path = path

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        if not any(c.isalnum() for c in text):
            raise Unspeakable(f"{NAME} has no sound for this text.")
        process = await asyncio.create_subprocess_exec(
            self._path, "--stdin", "--stdout", "-b", "1", "-v", _voice(voice.language),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(SECONDS):
                out, _ = await process.communicate(text[:MOST_CHARACTERS].encode())
        except TimeoutError:
            raise SpeechError(f"{NAME} took longer than {SECONDS:g} s.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or len(out) <= wav.HEADER_BYTES:
            raise Unspeakable(f"{NAME} cannot speak {voice.language}.")
        # What it writes to a pipe has no lengths in its header, which libsndfile does not forgive.
        rate = int.from_bytes(out[24:28], "little")
        yield Sound(await asyncio.to_thread(wav.read, wav.of(out[wav.HEADER_BYTES :], rate=rate)), NAME)

    async def close(self) -> None: ...


def _voice(language: str) -> str:
    """Its names are language tags in small letters; it finds the nearest itself."""
    return "".join(c for c in language.lower() if c.isalnum() or c == "-")[:20] or "en"
