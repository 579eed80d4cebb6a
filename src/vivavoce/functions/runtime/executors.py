"""`conv.functions` and `flow.functions`: author code that calls author code, run in place."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivavoce.functions.runtime.conversation import Conversation, Flow


class FunctionExecutor:
    """conv.functions.name(...): a global function, run in place, its return value handed back as it is."""

    def __init__(self, conv: Conversation, modules: dict[str, str]) -> None:
        self._conv, self._modules = conv, modules

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = _main_function(self._modules, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if args and type(args[0]) is type(self._conv):
                args = args[1:]
            return function(self._conv, *args, **kwargs)

        return call


class FlowFunctionExecutor:
    """flow.functions.name(...): a function of the same flow."""

    def __init__(self, flow: Flow, modules: dict[str, str]) -> None:
        self._flow, self._modules = flow, modules

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = _main_function(self._modules, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            rest = list(args)
            if rest and type(rest[0]) is type(self._flow._conv):
                rest.pop(0)
            if rest and type(rest[0]) is type(self._flow):
                rest.pop(0)
            return function(self._flow._conv, self._flow, *rest, **kwargs)

        return call


def _main_function(modules: dict[str, str], name: str) -> Callable[..., Any]:
    if name.startswith("__") or name not in modules:
        raise AttributeError(f"there is no function named {name!r}")
    found: Callable[..., Any] = getattr(importlib.import_module(modules[name]), name)
    return found
