"""What a call costs beside its engines, and how long a caller waits with the embedded ones.

    python bench/voice.py [--calls 50] [--seconds 30] [--embedded] [--growth]

The first table: calls at once in one process on one core, in real time, engines scripted, so that what is measured is our
own share. The floor is a loop that only keeps time for as many calls and copies their frames. The second: one call with
the embedded engines, each component. --growth holds calls as fast as they go and looks at memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.calls import VOICE, Exchange
from tests.support.talk import script, serving, write

from vivavoce.audio import pcm
from vivavoce.domain.conversation import Turn
from vivavoce.speech.interface import Voice
from vivavoce.speech.loudness import LoudnessActivity
from vivavoce.speech.scripted import ScriptedRecognizer, ScriptedSynthesizer, Tongue
from vivavoce.voice.call import Engines
from vivavoce.voice.pace import AsFastAsPossible, RealTime
from vivavoce.voice.simulated import HangUp, SimulatedCaller, Speak, Wait
from vivavoce.wire import speech

MODEL = (
    'rules: [{when: {said: "user is silent"}, say: "Are you there?"}]\notherwise: "Certainly. I can do that for you."'
)
ROOT = Path(__file__).parents[1]


@contextlib.asynccontextmanager
async def scripted(folder: Path, calls: int) -> AsyncIterator[Exchange]:
    tongue = Tongue()
    engines = Engines(
        recognizer=ScriptedRecognizer(tongue), synthesizer=ScriptedSynthesizer(tongue), activity=LoudnessActivity()
    )
    async with serving(
        write(folder / "agent", VOICE), script(MODEL), data=folder / "data", engines=lambda: engines, calls=calls + 1
    ) as talk:
        yield Exchange(talk().started, tongue)


class Paced(SimulatedCaller):
    """Notes when its frames come."""

    def __init__(self, acts: list[Speak | Wait | HangUp]) -> None:
        super().__init__(acts)
        self.at: list[float] = []

    def send(self, frame: bytes) -> None:
        self.at.append(time.perf_counter())
        super().send(frame)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def own_share(turn: Turn) -> float | None:
    """Milliseconds from the decision that the caller has finished to the first sound sent: all of it ours, here."""
    parts = speech.breakdown(turn)
    return parts["perceived"] - parts["endpointing"] if "perceived" in parts and turn.input.text else None


async def many(calls: int, seconds: float) -> None:
    floor = await timekeeping(calls)
    with tempfile.TemporaryDirectory() as folder:
        async with scripted(Path(folder), calls) as phone:
            await phone.call("warm up")
            gc.collect()
            before, cpu = memory(), time.process_time()
            began = time.perf_counter()

            async def one(number: int) -> tuple[Paced, list[Turn]]:
                await asyncio.sleep(number * 0.037)
                line = Paced([phone.say(f"question {n}") for n in range(int(seconds / 3))])
                held = await phone.call(pace=RealTime(), line=line)
                return line, list(held.turns)

            peaks: list[int] = []
            watching = asyncio.create_task(watch(peaks))
            done = await asyncio.gather(*(one(number) for number in range(calls)))
            watching.cancel()
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            shares = [share for _, turns in done for turn in turns if (share := own_share(turn)) is not None]
            gaps = [
                abs((b - a) - pcm.FRAME_SECONDS) * 1000
                for line, _ in done
                for a, b in zip(line.at, line.at[1:], strict=False)
                if b - a < 0.2  # within one reply
            ]
            print(
                f"{calls} calls at once, {took:.0f} s, {len(shares)} turns, {cpu / took:.0%} of a core (floor {floor:.0%})"
            )
            print(
                f"own share of the wait      p50 {statistics.median(shares):6.1f}   p95 {percentile(shares, 0.95):6.1f} ms   (aim: p95 60)"
            )
            print(
                f"jitter of outgoing frames  p50 {statistics.median(gaps):6.1f}   p99 {percentile(gaps, 0.99):6.1f} ms   (aim: p99 20)"
            )
            print(
                f"memory                     {(max(peaks, default=before) - before) / calls / 1024:6.2f} MB a call      (aim: 3)"
            )


async def watch(peaks: list[int]) -> None:
    while True:
        peaks.append(memory())
        await asyncio.sleep(0.5)


async def timekeeping(calls: int) -> float:
    """The share of a core that the clock alone takes: as many loops that sleep to the next 20 ms and copy two frames."""

    async def one() -> None:
        pace, frame = RealTime(), bytearray(pcm.FRAME_BYTES)
        for _ in range(150):
            await pace.tick(lambda: False)
            bytes(frame), bytes(frame)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one() for _ in range(calls)))
    return (time.process_time() - cpu) / (time.perf_counter() - began)


def memory() -> int:
    """Resident KB now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


LINES = (
    "When are you open?",
    "Do you work on electric bikes?",
    "How much is a full service?",
    "I would like to book a repair.",
    "My brakes are squeaking.",
    "Can I bring it on Thursday?",
)


async def embedded() -> None:
    from vivavoce.wiring.speech import make_engines

    async with serving(ROOT / "examples" / "bike-workshop", data=Path(tempfile.mkdtemp()), engines=None) as talk:
        started = talk().started
        engines = await started.engines()
        assert make_engines is not None
        phone = Exchange(started, Tongue())
        spoken = []
        for line in LINES:
            sound = b"".join([s.pcm async for s in engines.synthesizer.speak(line, Voice())])
            spoken.append(Speak(sound, line))
        held = await phone.call(*spoken, pace=RealTime())
        found = speech.percentiles(held.turns)
        assert found is not None
        print("one call, embedded engines, real time, 2 cores, milliseconds")
        for name, row in found.items():
            aim = "   (aim: p50 1200)" if name == "perceived" else ""
            print(f"  {name:<18} p50 {row.p50:7.1f}   p95 {row.p95:7.1f}{aim}")


async def growth(calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with scripted(Path(folder), 8) as phone:
            marks = []
            seconds = 0.0
            for block in range(6):
                held = [
                    await asyncio.gather(
                        *(phone.call("one", "two", "three", pace=AsFastAsPossible()) for _ in range(4))
                    )
                    for _ in range(calls // 24)
                ]
                seconds += sum(h.ended.seconds for four in held for h in four)
                await phone.started.work.run_due() if block == 5 else None
                gc.collect()
                marks.append(memory() / 1024)
            print(
                f"{calls} calls, {seconds / 60:.0f} minutes of sound: resident MB after each sixth: {', '.join(f'{m:.1f}' for m in marks)}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if arguments.embedded:
        asyncio.run(embedded())
    elif arguments.growth:
        asyncio.run(growth(600))
    else:
        os.sched_setaffinity(0, {0})
        asyncio.run(many(arguments.calls, arguments.seconds))


if __name__ == "__main__":
    main()
