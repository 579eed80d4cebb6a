"""`conv.utils`: the model on demand, secrets, and values checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vivavoce.functions.runtime import entities, values
from vivavoce.functions.runtime.session import AskFailed, Running, clean_text

if TYPE_CHECKING:
    from vivavoce.functions.runtime.conversation import Conversation


class Utils:
    """conv.utils: the model on demand, secrets, and values checked."""

    def __init__(self, conv: Conversation) -> None:
        self._conv = conv

    def prompt_llm(
        self, prompt: str, *, show_history: bool = False, return_json: bool = False, model: str = "gpt-4o"
    ) -> Any:
        """Asks the server's model; safe to call from several threads at once."""
        assert Running.channel is not None
        body = {
            "prompt": clean_text(str(prompt)),
            "show_history": bool(show_history),
            "return_json": bool(return_json),
            "model": str(model),
        }
        return Running.channel.ask("prompt_llm", body)

    def get_secret(self, name: str) -> Any:
        """A secret of this agent: text, or a dict. Raises SecretNotFound or MissingAccess."""
        assert Running.channel is not None
        try:
            return Running.channel.ask("secret", {"name": clean_text(str(name))})
        except AskFailed as error:
            kind = values.MissingAccess if error.code == "SECRET_FORBIDDEN" else values.SecretNotFound
            raise kind(str(error)) from None

    def validate_entity(self, value: Any, config: Any) -> values.EntityValidationResult:
        """`valid`, `value` and, when it is not valid, `error`."""
        return entities.validate(value, config)

    def extract_address(self, addresses: Any = None, country: str = "US") -> Any:
        """The address in the user's last words, or ExtractionError."""
        return entities.address(self._said(), addresses, country)

    def extract_city(self, city_spellings: Any = None, states: Any = None, country: str = "US") -> Any:
        """The city in the user's last words, or ExtractionError."""
        return entities.city(self._said(), city_spellings, states, country)

    def _said(self) -> list[str]:
        inputs = [said.text for said in self._conv.history if said.role == "user" and said.text]
        return list(dict.fromkeys([*inputs[-1:], *self._conv.transcript_alternatives]))


for _config in values.CONFIGS:
    setattr(Utils, _config.__name__, _config)
