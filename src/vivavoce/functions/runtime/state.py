"""conv.state, its pickle for the next turn, and its JSON view for everybody else."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec

MAX_STATE_BYTES = 8 << 20
_DOUBTFUL = (b"functions.", b"flows.", b"Error", b"Exception")  # classes of authors, and exceptions of anybody


class State(dict[str, Any]):
    """A dict whose missing attributes are None, as agents expect; a missing key is still a KeyError."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> Any:
        return (State, (dict(self),))


class StateView:
    """Follows a State from call to call: what changed, as JSON, and the pickle that brings it back."""

    def __init__(self) -> None:
        self.pickled = b""
        self.json: dict[str, bytes] = {}

    def load(self, pickled: bytes, state: State, extra: dict[str, Any]) -> None:
        """Fills `state` and `extra` from a pickle made by `changes`."""
        self.pickled = pickled
        if pickled:
            saved_state, saved_extra = pickle.loads(pickled)  # noqa: S301  # written by a worker of this conversation only
            state.update(saved_state)
            extra.update(saved_extra)
        self.json = {key: encode_view(value) for key, value in state.items()}

    def changes(
        self, state: State, extra: dict[str, Any]
    ) -> tuple[bytes | None, dict[str, bytes], list[str], list[str]]:
        """(new pickle or None, changed keys as JSON, removed keys, warnings)."""
        warnings: list[str] = []
        pickled = _pickle(state, extra, warnings)
        if pickled == self.pickled and not warnings:
            return None, {}, [], warnings
        if len(pickled) > MAX_STATE_BYTES:
            warnings.append(
                f"conv.state is larger than {MAX_STATE_BYTES >> 20} MiB; what this call changed is not kept"
            )
            return None, {}, [], warnings
        self.pickled = pickled
        before = self.json
        after = {str(key): encode_view(value) for key, value in state.items()}
        self.json = after
        changed = {key: value for key, value in after.items() if before.get(key) != value}
        return pickled, changed, [key for key in before if key not in after], warnings


def _pickle(state: State, extra: dict[str, Any], warnings: list[str]) -> bytes:
    try:
        return _kept((dict(state), extra))
    except Exception:  # any class of the author may raise anything while it is pickled
        kept: dict[str, Any] = {}
        for key, value in list(state.items()):
            try:
                _kept(value)
                kept[key] = value
            except Exception as error:  # the same
                warnings.append(f"conv.state.{key} cannot be kept for the next turn: {type(error).__name__}")
        try:
            return _kept((kept, extra))
        except Exception:  # values that pickle alone but not together
            warnings.append("conv.variant was not kept for the next turn")
            return _dumps((kept, {}))


def _kept(value: Any) -> bytes:
    """The pickle, sure to come back: classes that go in and do not come out again are common among exceptions."""
    pickled = _dumps(value)
    if any(hint in pickled for hint in _DOUBTFUL):
        pickle.loads(pickled)  # noqa: S301  # made a moment ago, here
    return pickled


def _dumps(value: Any) -> bytes:
    return pickle.dumps(value, protocol=5)


def _view_of(value: Any) -> Any:
    """JSON for what msgspec does not know."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, (frozenset, set)):
        return sorted(value, key=str)
    shows_address = "__str__" not in _defined(value) and "__repr__" not in _defined(value)
    if shows_address and hasattr(value, "__dict__"):
        return vars(value)  # an address would tell nobody anything
    return str(value)


def _defined(value: Any) -> set[str]:
    """Names that the value's own classes define, those of object left out."""
    return {name for cls in type(value).__mro__[:-1] for name in vars(cls)}


_encoder = msgspec.json.Encoder(enc_hook=_view_of)


def encode_view(value: Any) -> bytes:
    if isinstance(value, State):
        value = dict(value)
    try:
        return _encoder.encode(value)
    except Exception:  # cycles, keys that are no text, a __str__ that raises: still show something
        try:
            return _encoder.encode(_plain(value, 0))
        except Exception:
            return msgspec.json.encode(f"<{type(value).__name__}>")


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if depth > 6:
        return "..."
    if isinstance(value, dict):
        return {str(k): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v, depth + 1) for v in value]
    return repr(value)[:200]
