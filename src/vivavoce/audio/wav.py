"""WAV files of 16-bit PCM: the header that we write, and any file read into the house's own form."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from vivavoce.audio import pcm
from vivavoce.audio.resampling import resampled
from vivavoce.errors import Invalid

HEADER_BYTES = 44
MOST_BYTES = 0xFFFFFFFF - HEADER_BYTES  # that a header can tell of
MEDIA_TYPE = "audio/wav"
MOST_SECONDS = 3600.0  # of a file that is read whole
RATES = (4_000, 192_000)
MOST_CHANNELS = 8
BLOCK = 1 << 16  # frames that are read at once


class AudioInvalid(Invalid):
    code = "AUDIO_INVALID"


class Format(Struct, frozen=True, kw_only=True):
    channels: int
    rate: int
    data_bytes: int
    data_at: int = HEADER_BYTES


def header(data_bytes: int, *, channels: int = 1, rate: int = pcm.RATE) -> bytes:
    """RIFF/WAVE with `fmt ` and `data`, as every player reads it."""
    block = channels * pcm.SAMPLE_BYTES
    size = min(data_bytes, MOST_BYTES)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, rate, rate * block, block, 16, b"data", size,
    )  # fmt: skip


def of(sound: bytes, *, channels: int = 1, rate: int = pcm.RATE) -> bytes:
    """A whole file around PCM."""
    return header(len(sound), channels=channels, rate=rate) + sound


def parsed(file: bytes) -> Format:
    """The layout of a file of 16-bit PCM, as we and most others write it. Raises AudioInvalid for anything else."""
    if len(file) < 12 or file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise AudioInvalid("This is not a WAV file.")
    place, found = 12, None
    while place + 8 <= len(file):
        name, size = file[place : place + 4], int.from_bytes(file[place + 4 : place + 8], "little")
        if name == b"fmt " and size >= 16 and place + 24 <= len(file):
            kind, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", file, place + 8)
            if kind not in (1, 0xFFFE) or bits != 16 or not channels or not rate or block != channels * 2:
                raise AudioInvalid(f"The WAV file holds {bits}-bit sound of kind {kind}; 16-bit PCM is needed.")
            found = (channels, rate)
        elif name == b"data":
            if found is None:
                break
            left = len(file) - place - 8
            return Format(channels=found[0], rate=found[1], data_bytes=min(size, left), data_at=place + 8)
        place += 8 + size + size % 2
    raise AudioInvalid("The WAV file has no sound in it.")


def read(source: bytes | Path, *, most_seconds: float = MOST_SECONDS) -> bytes:
    """One channel of PCM in the house's form, from whatever file libsndfile reads. Of several channels the first is taken:
    in our own recordings it is the caller."""
    import soundfile  # noqa: PLC0415  # loads a library that most commands do not need

    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            rate = file.samplerate
            # Before anything is read: a small file can tell of much sound.
            if not RATES[0] <= rate <= RATES[1] or file.channels > MOST_CHANNELS:
                raise AudioInvalid(
                    f"The file has {file.channels} channels at {rate:,} Hz; up to {MOST_CHANNELS} at {RATES[0]:,} to "
                    f"{RATES[1]:,} Hz are taken."
                )
            if file.frames > most_seconds * rate:
                raise AudioInvalid(f"The file is longer than {most_seconds:,.0f} seconds.")
            parts = [block[:, 0].copy() for block in file.blocks(BLOCK, dtype="float32", always_2d=True)]
    except (soundfile.LibsndfileError, OSError) as error:
        reason = (
            "it is not there" if isinstance(error, FileNotFoundError) else "its format is not known, or it is damaged"
        )
        raise AudioInvalid(f"The file cannot be read as sound: {reason}.") from error
    values: Any = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return pcm.of_floats(resampled(values, rate))
