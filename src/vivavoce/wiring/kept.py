"""The secrets that a server makes for itself on its first start, and keeps beside its data."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vivavoce.errors import UsageError
from vivavoce.settings import Settings

if TYPE_CHECKING:
    from vivavoce.store.sealing import Keyring


def make_keyring(settings: Settings, *, in_memory: bool = False) -> Keyring:
    from vivavoce.store.sealing import Keyring  # noqa: PLC0415  # cryptography is loaded with the store, not with --help

    if in_memory:
        return Keyring(os.urandom(32))
    return Keyring(settings.seal_key or _seal_key(settings.data))


def bootstrap_key(data: Path, *, in_memory: bool) -> str:
    """The operator's key."""
    if in_memory:
        return "vv_" + secrets.token_urlsafe(32)
    return _kept_secret(data / "api-key", lambda: "vv_" + secrets.token_urlsafe(32))


def _seal_key(data: Path) -> bytes:
    """The key under which the conversations' own keys are kept: without this file the record cannot be read."""
    text = _kept_secret(data / "seal-key", lambda: secrets.token_hex(32))
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{data / 'seal-key'} does not hold a key; put the one that belongs there back.") from None


def _kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Made on the first start, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.is_file() and (text := path.read_text("utf-8").strip()):
        return text
    text = make()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)  # a key that a power cut takes away takes the record with it
    os.close(folder)
    return text
