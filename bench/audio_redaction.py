"""How much personal data is left in redacted sound: 80 spoken items, judged by their known samples and another recogniser.

Each item is spoken in three parts by the embedded voice, so that it is known to the sample where the personal part lies.
Half of the items, by hash, were used to choose the margins (--tune shows them); only the other half is reported.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.audio import muting, pcm
from vivavoce.redaction.finder import BUILT_IN
from vivavoce.redaction.redact import Redactor
from vivavoce.redaction.spoken import pieces
from vivavoce.service.audio_redaction import Listener, Utterance, utterances
from vivavoce.speech.hibari import HibariSynthesizer
from vivavoce.speech.interface import Hints, Voice
from vivavoce.speech.silero import SileroActivity
from vivavoce.speech.whisper import WhisperRecognizer

DATA = Path(__file__).parent / "data" / "spoken_personal.json"
TUNING = DATA.with_name("spoken_personal_tuning.json")
COMMON = frozenset(
    ["a", "an", "and", "at", "the", "of", "on", "in", "to", "is", "it", "i", "my", "for"]
)  # that any recogniser hears in noise
PAUSE = float(os.environ.get("BENCH_PAUSE", "0.12"))


def halves(items: list[dict[str, str]]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    def is_tuning(item: dict[str, str]) -> bool:
        return hashlib.sha256(item["personal"].encode()).digest()[0] % 2 == 0

    return [i for i in items if is_tuning(i)], [i for i in items if not is_tuning(i)]


def trimmed(sound: bytes) -> bytes:
    """Without the silence that the voice puts around it."""
    values = pcm.floats(sound)
    loud = np.flatnonzero(np.abs(values) > 0.01)
    return sound if len(loud) == 0 else sound[loud[0] * 2 : loud[-1] * 2 + 2]


async def spoken(voice: HibariSynthesizer, text: str) -> bytes:
    return trimmed(b"".join([s.pcm async for s in voice.speak(text, Voice())])) if text.strip() else b""


async def heard(recognizer: WhisperRecognizer, sound: bytes) -> str:
    listening = recognizer.listen(Hints())
    listening.feed(sound)
    return (await listening.finish()).text


class Sphinx:
    """A recogniser of another kind (Gaussian mixtures, 2010s), which the redactor does not use."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(samprate=pcm.RATE, loglevel="FATAL")

    def __call__(self, sound: bytes) -> str:
        self._decoder.start_utt()
        self._decoder.process_raw(sound, full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr if found is not None else ""


async def judge(
    item: dict[str, str], voice: HibariSynthesizer, recognizer: WhisperRecognizer, sphinx: Sphinx | None
) -> dict[str, Any]:
    gap = pcm.silence(round(PAUSE * pcm.RATE))
    before, personal, after = [await spoken(voice, item[part]) for part in ("before", "personal", "after")]
    lead = pcm.silence(pcm.RATE)
    start = len(lead + before + gap) // 2
    end = start + len(personal) // 2
    sound = lead + before + gap + personal + gap + after + pcm.silence(pcm.RATE)
    text = await heard(recognizer, sound)
    known = Redactor()
    is_suspect = bool(BUILT_IN.thorough(text))
    listener = Listener(recognizer, known.spans, "en")
    spans: list[muting.Span] = []
    rounds, is_whole = 0, False
    for utterance in utterances(sound, SileroActivity()):
        done = await listener.mute(
            sound,
            Utterance(
                start=utterance.start,
                end=utterance.end,
                is_suspect=is_suspect and utterance.start < end and start < utterance.end,
            ),
        )
        spans += done.spans
        rounds, is_whole = max(rounds, done.rounds), is_whole or done.is_whole
    redacted = muting.muted(sound, spans)
    rest = pcm.floats(redacted[start * 2 : end * 2])
    left = float(np.count_nonzero(rest)) / max(1, np.count_nonzero(pcm.samples(personal)))
    outside = np.concatenate((pcm.samples(sound)[:start], pcm.samples(sound)[end:]))
    kept = np.concatenate((pcm.samples(redacted)[:start], pcm.samples(redacted)[end:]))
    lost = 1 - np.count_nonzero(kept) / max(1, np.count_nonzero(outside))
    own = set(pieces(item["personal"])) - set(pieces(item["before"] + " " + item["after"])) - COMMON
    said = sphinx(redacted) if sphinx is not None else ""
    raw = sphinx(sound) if sphinx is not None else ""
    return {
        "item": item, "text": text, "is_suspect": is_suspect, "left": left, "lost": lost, "rounds": rounds, "is_whole": is_whole,
        "sphinx": sorted(own & set(pieces(said))), "sphinx_raw": sorted(own & set(pieces(raw))),
    }  # fmt: skip


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true", help="the half that the margins were chosen on, item by item")
    parser.add_argument("--more", action="store_true", help="and a second set that was written for tuning")
    arguments = parser.parse_args()
    tuning, held_out = halves(json.loads(DATA.read_text()))
    if arguments.tune:
        tuning = [*tuning, *json.loads(TUNING.read_text())] if arguments.more else tuning
    items = tuning if arguments.tune else held_out
    voice, recognizer = HibariSynthesizer(), WhisperRecognizer()
    try:
        sphinx: Sphinx | None = Sphinx()
    except ImportError:
        sphinx = None
    began = time.monotonic()
    found = [await judge(item, voice, recognizer, sphinx) for item in items]
    if arguments.tune:
        for one in found:
            if one["left"] > 0 or one["sphinx"]:
                print(
                    f"{one['left']:.2f} left, {one['lost']:.2f} lost, {one['rounds']} rounds: {one['item']} heard {one['text']!r} {one['sphinx']}"
                )
    clean = [one for one in found if one["left"] == 0]
    whole = sum(one["is_whole"] for one in found)
    lefts = sorted(f"{one['left']:.2f}" for one in found if one["left"] > 0)
    print(f"items                                        {len(found)} ({'tuning' if arguments.tune else 'held out'})")
    print(f"nothing left in the known span               {len(clean)}")
    print(
        f"something left                               {len(found) - len(clean)}, of which not noticed at all: {sum(not o['is_suspect'] for o in found if o['left'] > 0)}"
    )
    print(f"share of its samples that is left in these   {', '.join(lefts) or '-'}")
    print(f"muted from end to end                        {whole}")
    print(f"share of other speech that was muted as well {np.mean([o['lost'] for o in found]):.2f}")
    if sphinx is not None:
        print(
            f"words of it that another recogniser hears    raw: {sum(len(o['sphinx_raw']) for o in found)}, redacted: {sum(len(o['sphinx']) for o in found)}"
        )
    print(f"seconds                                      {time.monotonic() - began:.0f}")
    await voice.close()
    await recognizer.close()


if __name__ == "__main__":
    asyncio.run(main())
