"""Coverage-guided fuzzing of all that reads what others wrote: each target for so many seconds, in a process of its own.

    python bench/fuzz.py [--seconds 60] [--only TARGET]     make fuzz

A target may refuse what it is given by the errors that it is known for; anything else, and anything that takes long, is a finding, whose input is
printed in hexadecimal.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLOW_SECONDS = 5
LONGEST = 4096  # bytes of an input
sys.path.insert(0, str(ROOT))


def loader() -> tuple[Callable[[bytes], object], list[bytes]]:
    """A folder one file of which is anything."""
    from vivavoce.domain.deployment import Tree
    from vivavoce.project.loader import load
    from vivavoce.project.tree import read_tree

    whole = read_tree(ROOT / "examples/bike-workshop").files
    paths = sorted(path for path in whole if not path.endswith(".py"))

    def run(data: bytes) -> object:
        if not data:
            return None
        path = paths[data[0] % len(paths)]
        return load(Tree(hash="x", files={**whole, path: data[1:]}))

    return run, [bytes([n % 256]) + whole[path][: LONGEST - 1] for n, path in enumerate(paths)]


def yaml() -> tuple[Callable[[bytes], object], list[bytes]]:
    from vivavoce.project.source import Faults, read_yaml

    seeds = [path.read_bytes()[:LONGEST] for path in sorted((ROOT / "examples").rglob("*.yaml"))[:40]]
    return lambda data: read_yaml("x.yaml", data, Faults()), [*seeds, b"a: &a [*a]", b"<<: {a: 1}", b"? [x]\n: y"]


def references() -> tuple[Callable[[bytes], object], list[bytes]]:
    from vivavoce.project.references import find

    seeds = [b"{{fn:act}} and {{ft:x}}", b"{{attr:a}} $who {{entity:n}} {{", b"{{fn:{{fn:x}}}}"]
    return lambda data: find(data.decode("utf-8", "replace")), seeds


def codec() -> tuple[Callable[[bytes], object], list[bytes]]:
    from datetime import UTC, datetime

    from vivavoce.domain.conversation import Snapshot, Turn, UserInput
    from vivavoce.errors import NOT_JSON
    from vivavoce.store import codec

    now = datetime(2026, 1, 1, tzinfo=UTC)
    said, body, _ = codec.encode_turn(
        Turn(index=1, started_at=now, finished_at=now, input=UserInput(text="a"), reply="b")
    )
    snapshot = codec.encode_snapshot(Snapshot())
    known = (*NOT_JSON, KeyError, TypeError)

    def run(data: bytes) -> None:
        for read in (
            lambda: codec.decode_turn(data, body),
            lambda: codec.decode_turn(said, data),
            lambda: codec.decode_snapshot(data),
        ):
            try:
                read()
            except known:
                continue

    return run, [said, body, snapshot]


def cursor() -> tuple[Callable[[bytes], object], list[bytes]]:
    from vivavoce.domain.record import Criteria, Order, Position
    from vivavoce.wire import cursor

    def run(data: bytes) -> object:
        try:
            return cursor.decode(data.decode("latin-1"), Criteria(), Order(), "x")
        except cursor.CursorInvalid:
            return None

    return run, [cursor.encode(Position(number=5), Criteria(), Order(), "x").encode()]


def wav() -> tuple[Callable[[bytes], object], list[bytes]]:
    from vivavoce.audio import wav

    def run(data: bytes) -> object:
        try:
            found = wav.parsed(data)
            assert 0 <= found.data_at <= found.data_at + found.data_bytes <= len(data)
            return wav.read(data)
        except wav.AudioInvalid:
            return None

    return run, [wav.of(bytes(400)), wav.of(bytes(400), channels=2, rate=8000)]


def media_streams() -> tuple[Callable[[bytes], object], list[bytes]]:
    from vivavoce.telephony import browser, plivo, telnyx, twilio
    from vivavoce.telephony.dialect import Malformed

    def run(data: bytes) -> None:
        for dialect in (twilio.TwilioDialect(), telnyx.TelnyxDialect(), plivo.PlivoDialect(), browser.BrowserDialect()):
            for part in data.split(b"\n"):
                for message in (part.decode("utf-8", "replace"), part):
                    try:
                        dialect.read(message)
                    except Malformed:
                        continue

    start = b'{"event":"start","start":{"streamSid":"s","callSid":"c","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000}}}'
    media = b'{"event":"media","media":{"payload":"AAAA","track":"inbound","timestamp":"1"}}'
    return run, [start + b"\n" + media, b'{"event":"dtmf","dtmf":{"digit":"1"}}', b'{"event":"stop"}', bytes(640)]


def frames() -> tuple[Callable[[bytes], object], list[bytes]]:
    """What a worker, which author code may have taken over, sends to the server."""
    import msgspec

    from vivavoce.functions import connection, frames

    worker = connection.Worker.__new__(connection.Worker)
    worker._outcome = None

    def run(data: bytes) -> None:
        try:
            worker._received(data)
            outcome = connection._decode_outcome(data)
            connection._check(outcome)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            return

    return run, [
        frames.encode({"t": "done", "returned": "x", "view": {"a": b"1"}}),
        frames.encode({"t": "done", "error": "e"}),
    ]


def pushes() -> tuple[Callable[[bytes], object], list[bytes]]:
    """A batch of commands upon a small folder, and what comes of it rendered again."""
    from tests.support.commands import batch, topic

    from vivavoce.errors import Conflict, Invalid
    from vivavoce.project.projection.commands import applying
    from vivavoce.project.projection.rendering import render, written
    from vivavoce.wire.commands.batch import read

    code = "def act(conv, a: str):\n    return a\n"
    step = {"id": "S", "name": "ask", "prompt": "Ask {{fn:act}}."}
    seeds = [
        batch(1, topic("T", "Opening hours", "{{fn:act}} at nine."), ("update_topic", {"id": "T", "name": "b"})),
        batch(1, ("create_function", {"id": "F", "name": "act", "description": "d", "code": code})),
        batch(1, ("create_flow", {"id": "L", "name": "l", "startStepId": "S", "steps": [step]}), ("delete_flow", {"flowId": "L"})),
        batch(1, ("update_rules", {"behaviour": "Be brief."}), ("document_create", {"path": "N.md", "content": "n"})),
        batch(1, ("variant_create_variant", {"id": "V", "name": "v"}), ("variant_create_attribute", {"id": "A", "name": "a", "variantValues": {"values": {"V": "x"}}})),
        batch(1, ("create_test_case", {"id": "C", "name": "c", "scenario": "s", "channel": "chat.polyai"})),
    ]  # fmt: skip
    files = {"project.yaml": b"project_id: tiny\naccount_id: acme\n", "topics/a.yaml": b"name: a\ncontent: b  # c\n"}
    before = render(files, {})

    def run(data: bytes) -> None:
        try:
            found, ids = written(files, {}, before, applying.apply(before.projection, read(data).commands))
        except (Invalid, Conflict):
            return
        render(found, ids)

    return run, seeds


TARGETS = {f.__name__: f for f in (loader, yaml, references, codec, cursor, wav, media_streams, frames, pushes)}


def fuzz(name: str, seconds: int) -> None:
    """In this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["vivavoce"]):
        run, seeds = TARGETS[name]()
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for n, seed in enumerate(seeds):
        (corpus / f"seed{n}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-timeout={SLOW_SECONDS}",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
        f"-artifact_prefix={corpus}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: run(data) and None)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", choices=TARGETS)
    parser.add_argument("--inside", choices=TARGETS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz(options.inside, options.seconds)
        return 0
    is_clean = True
    print("| target | inputs | a second | findings |\n|---|---|---|---|")
    for name in [options.only] if options.only else TARGETS:
        command = [sys.executable, __file__, "--inside", name, "--seconds", str(options.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        stats = dict(
            line.removeprefix("stat::").split(":", 1) for line in done.stderr.splitlines() if line.startswith("stat::")
        )
        count, rate = stats.get("number_of_executed_units", "?").strip(), stats.get("average_exec_per_sec", "?").strip()
        print(f"| {name} | {count} | {rate} | {'none' if done.returncode == 0 else 'FOUND'} |", flush=True)
        if done.returncode != 0:
            is_clean = False
            print((done.stdout + done.stderr)[-4000:], file=sys.stderr)
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
