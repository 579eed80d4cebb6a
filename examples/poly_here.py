"""The field's own command-line client (`poly`, PyPI polyai-adk) against a server of yours.

    VIVAVOCE_URL=http://127.0.0.1:8080 POLY_ADK_KEY=KEY python examples/poly_here.py pull

The client knows only the addresses of its maker: they are exchanged in memory, and it reports nothing to its maker. It was written for
Python 3.14; on an older one a list of exceptions without brackets gets them, and annotations are not evaluated.
"""

from __future__ import annotations
import __future__

import importlib.abc
import importlib.machinery
import os
import re
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


def main() -> None:
    url = os.environ.get("VIVAVOCE_URL", "http://127.0.0.1:8080").rstrip("/")
    if sys.version_info < (3, 14):
        sys.meta_path.insert(0, _Finder())
    try:
        from poly.handlers import platform_api, posthog, sdk
    except ModuleNotFoundError as error:
        sys.exit(f"The client is not installed for this Python ({error}): see docs/versions.md.")

    platform = platform_api.PlatformAPIHandler
    for addresses in (platform.region_to_base_url, platform.jupiter_region_to_base_url):
        addresses.update(dict.fromkeys(addresses, url))
    addresses = sdk.SourcererSDK.ENVIRONMENT_URLS
    addresses.update(dict.fromkeys(addresses, f"{url}/adk/v1"))
    posthog.PosthogHandler.is_feature_enabled = staticmethod(lambda *_, **__: False)
    from poly import cli

    cli.main()


if __name__ == "__main__":
    main()
