"""Style sheets, scripts and vendored libraries, under an address that holds a hash of them all: a browser keeps them for good."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
PATH = "/console/assets/{hash}/{name:path}"


class Asset(Struct, frozen=True):
    media_type: str
    body: bytes
    packed: bytes  # the same, gzipped


def _read(folder: Traversable, prefix: str = "") -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name, ending = prefix + item.name, item.name.rpartition(".")[2]
        if item.is_dir():
            found |= _read(item, name + "/")
        elif ending in TYPES:
            body = item.read_bytes()
            found[name] = Asset(TYPES[ending], body, gzip.compress(body, 9, mtime=0))
    return found


ASSETS = _read(files("vivavoce.console") / "static")
HASH = hashlib.sha256(b"\0".join(name.encode() + b"\0" + asset.body for name, asset in ASSETS.items())).hexdigest()[:16]


def url(name: str) -> str:
    """Raises KeyError for one that is not there: a page never names a file that is missing."""
    if name not in ASSETS:
        raise KeyError(name)
    return PATH.replace("{hash}", HASH).replace("{name:path}", name)
