"""Runs the field's command-line client, as it was published, against a server on this machine: `python launcher.py URL ARGUMENT...`

The client knows only the addresses of its maker. They are exchanged in memory, and no socket leaves the machine. It was written for a newer
Python: one list of exceptions without brackets gets them, and annotations are not evaluated.
"""

from __future__ import annotations
import __future__

import importlib.abc
import importlib.machinery
import re
import socket
import sys
from types import CodeType
from typing import Any

_BARE = re.compile(r"^(\s*except )([\w.]+(?:, [\w.]+)+):", re.MULTILINE)


class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        text = _BARE.sub(r"\1(\2):", bytes(data).decode())
        flags = __future__.annotations.compiler_flag
        return compile(text, path, "exec", flags=flags, dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name.partition(".")[0] != "poly":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def _stay_here() -> None:
    plain = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionRefusedError(f"only this machine is reached, not {address[0]}")
        plain(self, address)

    looked_up = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **named: Any) -> Any:
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise socket.gaierror(f"only this machine is reached, not {host}")
        return looked_up(host, *rest, **named)

    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.getaddrinfo = look_up


def main() -> None:
    url, *arguments = sys.argv[1:]
    _stay_here()
    if sys.version_info < (3, 14):
        sys.meta_path.insert(0, _Finder())
    from poly.handlers import platform_api, posthog, sdk

    platform = platform_api.PlatformAPIHandler
    for addresses in (platform.region_to_base_url, platform.jupiter_region_to_base_url):
        addresses.update(dict.fromkeys(addresses, url))
    addresses = sdk.SourcererSDK.ENVIRONMENT_URLS
    addresses.update(dict.fromkeys(addresses, f"{url}/adk/v1"))
    posthog.PosthogHandler.is_feature_enabled = staticmethod(lambda *_, **__: False)
    from poly import cli

    sys.argv = ["poly", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
