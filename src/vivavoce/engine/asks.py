"""The call-backs of author code while it runs: the model, secrets, APIs; each is answered here, and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from vivavoce.domain.conversation import (
    FunctionExchange,
    FunctionExchangeKind,
    Inference,
    LogEntry,
    Message,
    ModelExchange,
    ModelRequest,
    Rendered,
    SystemPart,
)
from vivavoce.engine import integrations, masking
from vivavoce.errors import NOT_JSON, VivavoceError
from vivavoce.functions.interface import Ask
from vivavoce.models.interface import ModelError, complete

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft


class Asked:
    """Answers one running function, and keeps what was asked and what was logged on its behalf."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        agent_id = draft.session.conversation.agent_id
        self.has_secrets = draft.ports.secrets.has_any(agent_id)
        self.mask = masking.masker(draft.ports.secrets, agent_id)
        self.exchanges: list[FunctionExchange] = []
        self.logs: list[LogEntry] = []

    def record(
        self, kind: FunctionExchangeKind, request: dict[str, Any], *, answer: Any = None, error: str | None = None
    ) -> None:
        self.exchanges.append(
            FunctionExchange(kind=kind, request=self.mask(request), answer=self.mask(answer), error=self.mask(error))
        )

    def log(self, entry: LogEntry) -> None:
        self.logs.append(replace(entry, content=self.mask(entry.content), fields=self.mask(entry.fields)))

    async def __call__(self, ask: Ask) -> Any:
        """Raises a VivavoceError, whose message and code reach the author's code."""
        match ask.kind:
            case "prompt_llm":
                return await self._prompt_llm(ask.body)
            case "secret":
                return self._secret(str(ask.body.get("name")))
            case "external_event":
                return await self._external_event(ask.body)
            case "once":
                return await self._once(ask.body)
            case "api":
                answer = await integrations.call(self._draft, ask.body, self)
                self._draft.session.heard.hear(answer["body"].decode("utf-8", "replace"))
                return answer
            case _:
                raise ModelError(f"{ask.kind} is not something a function can ask.")

    def _secret(self, name: str) -> Any:
        draft = self._draft
        try:
            found = draft.ports.secrets.get(draft.session.conversation.agent_id, name)
        except VivavoceError as error:
            self.record("secret", {"name": name}, error=error.message)
            raise
        self.record("secret", {"name": name})
        return found

    async def _external_event(self, body: dict[str, Any]) -> str:
        draft = self._draft
        is_for_model = bool(body.get("send_to_llm"))
        event_id = await draft.ports.events.announce(draft.session.conversation, is_for_model=is_for_model)
        draft.events = (*draft.events, event_id)
        self.record("external_event", {"send_to_llm": is_for_model}, answer=event_id)
        return event_id

    async def _once(self, body: dict[str, Any]) -> dict[str, Any]:
        """`begin` tells what is known of it; `settle` keeps its result, `forget` says that it came to nothing."""
        conversation, ledger = self._draft.session.conversation, self._draft.ports.ledger
        step, key, name = str(body.get("step")), str(body.get("key")), str(body.get("name"))
        match step:
            case "settle":
                await ledger.settle(conversation, key, body.get("result"))
                answer: dict[str, Any] = {}
            case "forget":
                await ledger.forget(conversation, key)
                answer = {}
            case _:
                known = await ledger.begin(conversation, key)
                answer = {} if known is None else {"is_done": known.is_done, "result": known.result}
        self.record("once", {"step": step, "name": name, "key": key, "result": body.get("result")}, answer=answer)
        return answer

    async def _prompt_llm(self, body: dict[str, Any]) -> Any:
        body = self.mask(body)  # a model is not told secrets
        try:
            value = await _prompt_llm(self._draft, body)
        except ModelError as error:
            self.record("prompt_llm", body, error=error.message)
            raise
        self._draft.session.heard.hear(value)
        self.record("prompt_llm", body, answer=value)
        return value


async def _prompt_llm(draft: Draft, body: dict[str, Any]) -> Any:
    wants_json = bool(body.get("return_json"))
    text = str(body.get("prompt", ""))
    history = tuple(
        Message(role="user" if said.role == "user" else "assistant", content=said.text)
        for said in draft.history
        if said.text
    )
    request = ModelRequest(
        system=(SystemPart(title="prompt", content=Rendered(text=text, literals=("", ""), values=(text,))),),
        history=history if body.get("show_history") else (),
        inference=Inference(response_format="json_object" if wants_json else None),
        model=str(body.get("model") or "") or None,
        language=draft.language,
        now=draft.conversation_now(),
        seed=draft.seed,
    )
    started_at = draft.ports.clock.now()
    reply, failure = None, None
    try:
        reply = await complete(draft.ports.model, request)
        return _json_of(reply.text) if wants_json else reply.text
    except ModelError as error:
        failure = error.message
        raise
    finally:
        draft.asked.append(
            ModelExchange(
                id=draft.ports.random.uuid(),
                purpose="function",
                request=request,
                reply=reply if failure is None else None,
                error=failure,
                delivered=reply.text if reply else "",
                started_at=started_at,
                finished_at=draft.ports.clock.now(),
                place=draft.place,
                place_after=draft.place,
            )
        )


def _json_of(text: str) -> Any:
    """The JSON object in a model's answer, fences and all."""
    start, end = text.find("{"), text.rfind("}")
    try:
        return msgspec.json.decode(text[start : end + 1]) if start >= 0 else msgspec.json.decode(text)
    except NOT_JSON:
        raise ModelError("The model was asked for JSON and answered with something else.") from None
