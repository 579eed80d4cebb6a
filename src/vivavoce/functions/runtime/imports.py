"""Makes a tree's Python files importable from memory, with `_gen` and its kin answered by our own modules."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import sys
import types
import warnings
from typing import Any

from vivavoce.functions.runtime import gen, plog

_STUBS = [
    "agentic_dial",
    "attachment",
    "conv_utils",
    "conversation",
    "decorators",
    "emails",
    "entity_validator",
    "external_events",
    "flow",
    "history",
    "log_utils",
    "memory",
    "secret_vault",
    "sms",
    "value_extraction",
    "value_extraction_types",
    "webchat",
]


class TreeFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds `functions.x`, `flows.f.functions.x` and the packages above them in a dict of path -> source."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = {path.removesuffix(".py").replace("/", "."): (path, source) for path, source in files.items()}
        self._packages = {".".join(name.split(".")[:i]) for name in self._files for i in range(1, name.count(".") + 1)}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname in self._files and not fullname.endswith(".__init__"):
            spec = importlib.machinery.ModuleSpec(fullname, self, origin=self._files[fullname][0])
            spec.has_location = True
            return spec
        if fullname in self._packages:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def is_package(self, fullname: str) -> bool:
        return fullname in self._packages and fullname not in self._files

    def get_source(self, fullname: str) -> str:
        entry = self._files.get(fullname) or self._files.get(f"{fullname}.__init__")
        return entry[1].decode("utf-8-sig") if entry else ""

    def get_code(self, fullname: str) -> types.CodeType:
        origin = (self._files.get(fullname) or (f"{fullname.replace('.', '/')}/__init__.py", b""))[0]
        source = self.get_source(fullname)
        linecache.cache[origin] = (len(source), None, source.splitlines(True), origin)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an author's invalid escape is not our news
            return compile(source, origin, "exec", dont_inherit=True)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__.update(gen.NAMES)  # agents may leave the `from _gen import *` line out
        module.__dict__["log"] = plog.Logger()
        module.__dict__["plog"] = plog
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102  # running author code is what this process is for


def install(files: dict[str, bytes]) -> None:
    """Registers our modules and the tree's. Called once, in the zygote, before any author module is imported."""
    package = _module("_gen", gen.NAMES)
    package.__path__ = []
    _module("imports", gen.NAMES)
    _module("gen_decorators", gen.NAMES)
    for stub in _STUBS:
        setattr(package, stub, _module(f"_gen.{stub}", gen.NAMES))
    polyai = _module("polyai", gen.NAMES)
    polyai.__path__ = []
    for name in ("voice", "attachments", "webchat", "conversation", "flow"):
        setattr(polyai, name, _module(f"polyai.{name}", gen.NAMES))
    sys.modules["plog"] = plog
    sys.meta_path.insert(0, TreeFinder(files))


def _module(name: str, names: dict[str, Any]) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(names)
    module.__dict__["__all__"] = list(names)
    sys.modules[name] = module
    return module
