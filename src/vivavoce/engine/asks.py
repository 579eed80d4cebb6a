"""The call-backs of author code while it runs: `prompt_llm` is answered by the conversation's model, and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from vivavoce.domain.conversation import (
    FunctionExchange,
    Inference,
    Message,
    ModelExchange,
    ModelRequest,
    Rendered,
    SystemPart,
)
from vivavoce.functions.interface import Answer, Ask
from vivavoce.models.interface import ModelError, complete

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft


def answerer(draft: Draft, asks: list[FunctionExchange]) -> Answer:
    """What a running function is answered with; each exchange joins `asks`."""

    async def answer(ask: Ask) -> Any:
        body = ask.body
        if ask.kind != "prompt_llm":
            raise ModelError(f"{ask.kind} is not something a function can ask.")
        try:
            value = await _prompt_llm(draft, body)
        except ModelError as error:
            asks.append(FunctionExchange(kind="prompt_llm", request=body, error=error.message))
            raise
        draft.session.heard.hear(value)
        asks.append(FunctionExchange(kind="prompt_llm", request=body, answer=value))
        return value

    return answer


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
    except msgspec.DecodeError:
        raise ModelError("The model was asked for JSON and answered with something else.") from None
