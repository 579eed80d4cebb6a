"""What every place for recordings keeps, and the file that grows on disk until then."""

from __future__ import annotations

import asyncio
import os
import wave
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import s3
from tests.support.talk import run
from vivavoce.audio import mixing, pcm, wav
from vivavoce.errors import UsageError
from vivavoce.recordings import objects, spool
from vivavoce.recordings.interface import Name, Recordings, RecordingsError
from vivavoce.recordings.memory import MemoryRecordings
from vivavoce.recordings.objects import PART_BYTES, ObjectRecordings, path_of
from vivavoce.recordings.sealed import KEY_BYTES, PIECE, read_sealed, seal_file
from vivavoce.recordings.spool import SpoolFile

ONE = Name("acme", "tiny", "one")
HOSTILE = Name("../..", "a/b\\c", "x" * 128)


@pytest.fixture(params=["folder", "s3", "memory"])
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Recordings]]:
    match request.param:
        case "folder":
            yield lambda: ObjectRecordings(f"file://{tmp_path / 'kept'}")
        case "memory":
            yield MemoryRecordings
        case _:
            with s3.store(monkeypatch) as store:
                store.start()
                yield lambda: ObjectRecordings(f"s3://{s3.BUCKET}/recordings")


def test_a_long_recording_goes_up_in_parts_and_is_read_from_anywhere(
    make: Callable[[], Recordings], tmp_path: Path
) -> None:
    async def scenario() -> None:
        kept, file = make(), tmp_path / "long.wav"
        whole = os.urandom(1 << 20) * 20
        file.write_bytes(whole)
        await kept.put(ONE, file)
        assert await kept.size(ONE) == len(whole)
        for start in (0, PART_BYTES - 3, len(whole) - 10):
            assert await kept.read(ONE, start, 10) == whole[start : start + 10]

    run(scenario())


def test_a_store_that_is_away_says_so_in_bounded_time_and_takes_it_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setitem(objects.RETRIES, "retry_timeout", timedelta(seconds=1))
        with s3.store(monkeypatch) as store:
            kept = ObjectRecordings(f"s3://{s3.BUCKET}/recordings")
            async with asyncio.timeout(30):
                for attempt in (kept.put(ONE, b"first"), kept.read(ONE, 0, 1), kept.size(ONE), kept.remove(ONE)):
                    with pytest.raises(RecordingsError):
                        await attempt
            store.start()
            await kept.put(ONE, b"first")
            assert await kept.read(ONE, 0, 5) == b"first"

    run(scenario())


def test_what_was_put_is_read_back_whole_and_in_parts(make: Callable[[], Recordings], tmp_path: Path) -> None:
    async def scenario() -> None:
        kept = make()
        file = tmp_path / "f.wav"
        file.write_bytes(bytes(range(256)) * 40)
        await kept.put(ONE, file)
        await kept.put(HOSTILE, b"other")
        assert await kept.size(ONE) == 10_240 and await kept.size(HOSTILE) == 5
        assert await kept.read(ONE, 100, 20) == bytes(range(100, 120))
        assert await kept.read(ONE, 0, 0) == b""
        assert await kept.read(HOSTILE, 0, 5) == b"other"

    run(scenario())


def test_a_name_has_one_file_and_putting_it_again_replaces_it(make: Callable[[], Recordings]) -> None:
    async def scenario() -> None:
        kept = make()
        await kept.put(ONE, b"first")
        await kept.put(ONE, b"second")
        assert await kept.read(ONE, 0, 6) == b"second"
        others = [Name("acme", "tin", "yone"), Name("acme", "tiny", "two"), Name("acm", "e", "tinyone")]
        assert [await kept.size(name) for name in others] == [None, None, None]

    run(scenario())


def test_what_is_removed_is_gone_and_removing_it_again_does_nothing(make: Callable[[], Recordings]) -> None:
    async def scenario() -> None:
        kept = make()
        await kept.put(ONE, b"first")
        assert await kept.remove(ONE) and not await kept.remove(ONE)
        assert await kept.size(ONE) is None
        with pytest.raises(RecordingsError):
            await kept.read(ONE, 0, 1)

    run(scenario())


def test_names_of_files_tell_nothing() -> None:
    assert path_of(Name("acme", "tiny", "+447700900461")).count("/") == 1
    assert "447700" not in path_of(Name("acme", "tiny", "+447700900461"))


def test_a_store_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(UsageError, match="VIVAVOCE_RECORDINGS"):
        ObjectRecordings("carrier-pigeon://loft")


def test_a_sealed_file_is_read_from_any_place_and_told_from_a_changed_one(
    make: Callable[[], Recordings], tmp_path: Path
) -> None:
    async def scenario() -> None:
        kept, key = make(), os.urandom(KEY_BYTES)
        plain = tmp_path / "plain"
        whole = os.urandom(3 * PIECE + 77)
        plain.write_bytes(whole)
        seal_file(plain, tmp_path / "sealed", key)
        await kept.put(ONE, tmp_path / "sealed")
        assert (tmp_path / "sealed").stat().st_mode & 0o077 == 0
        for start, length in ((0, 1), (0, len(whole)), (PIECE - 1, 2), (PIECE, PIECE), (3 * PIECE + 70, 7), (5, 0)):
            assert await read_sealed(kept, ONE, key, start, length) == whole[start : start + length]
        sealed = bytearray((tmp_path / "sealed").read_bytes())
        assert whole[:100] not in bytes(sealed)
        sealed[PIECE + 100] ^= 1
        await kept.put(ONE, bytes(sealed))
        assert await read_sealed(kept, ONE, key, 0, 100) == whole[:100]
        with pytest.raises(RecordingsError, match="changed"):
            await read_sealed(kept, ONE, key, PIECE + 50, 10)

    run(scenario())


# The file that grows.


def frames(count: int) -> list[tuple[bytes, bytes]]:
    return [(bytes([n % 250, 1]) * pcm.FRAME, bytes([n % 250, 2]) * pcm.FRAME) for n in range(count)]


def test_a_recording_is_a_valid_file_after_every_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        file = SpoolFile(tmp_path, ONE)
        with wave.open(str(file.path)) as found:
            assert found.getnframes() == 0
        for number, (caller, agent) in enumerate(frames(130), 1):
            file.write(caller, agent)
            if number in (50, 100):
                while file._writing is not None and not file._writing.done():
                    await asyncio.sleep(0)
                with wave.open(str(file.path)) as found:
                    assert found.getnframes() == number * pcm.FRAME and found.getnchannels() == 2
        await file.close()
        with wave.open(str(file.path)) as found:
            sound = found.readframes(1 << 24)
        assert mixing.channel(sound, 0) == b"".join(c for c, _ in frames(130))
        assert mixing.channel(sound, 1) == b"".join(a for _, a in frames(130))
        assert os.stat(file.path).st_mode & 0o077 == 0

    run(scenario())


def test_what_a_crash_left_is_found_and_repaired(tmp_path: Path) -> None:
    async def scenario() -> None:
        file = SpoolFile(tmp_path, HOSTILE)
        for caller, agent in frames(50):
            file.write(caller, agent)
        await file.close()
        with file.path.open("ab") as left:
            left.write(b"\1\2\3\4\5\6\7")  # sound whose length was not written, and half a sample
        (tmp_path / "stray.wav").write_bytes(b"RIFF")
        (found,) = spool.left_in(tmp_path)
        assert found.name == HOSTILE
        assert spool.repair(found.path) == 50 * pcm.FRAME + 1
        assert wav.parsed(found.path.read_bytes()).data_bytes == (50 * pcm.FRAME + 1) * 4
        spool.remove(found.path)
        assert not list(spool.left_in(tmp_path))

    run(scenario())


def test_a_recording_never_overwrites_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = SpoolFile(tmp_path, ONE)
        with pytest.raises(FileExistsError):
            SpoolFile(tmp_path, ONE)
        await first.close()

    run(scenario())
