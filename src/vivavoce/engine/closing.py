"""After the end: the end function, run once, with the conversation as it stood when it ended."""

from __future__ import annotations

from vivavoce.domain.conversation import Closing, ToolCall, UserInput
from vivavoce.engine.draft import Draft, Ports
from vivavoce.engine.session import Session


async def close(session: Session, ports: Ports) -> Closing:
    """Its return value and moves are ignored; what it wrote, logged and asked is kept."""
    function = session.prepared.agent.functions.get("end_function")
    if function is None:
        return Closing()
    draft = Draft(session, UserInput(), ports)
    await draft.call(function, {}, tool_call=ToolCall(id="end", name=function.name))
    if draft.discards_recording:
        draft.notice(
            "discard_too_late", "discard_recording does nothing in end_function: the recording has been stored."
        )
    return Closing(
        calls=tuple(draft.calls),
        exchanges=tuple(draft.asked),
        metrics=tuple(draft.metrics),
        notices=tuple(draft.notices),
        view=draft.view if draft.view is not session.snapshot.view else None,
    )
