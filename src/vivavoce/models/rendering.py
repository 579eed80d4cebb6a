"""The parts of a request in the order and wording that every chat model reads them."""

from __future__ import annotations

from vivavoce.domain.conversation import ModelRequest, sources_text, topics_json


def system_texts(request: ModelRequest) -> list[str]:
    """What stands before the history."""
    texts = [part.content.text for part in request.system]
    if request.context is not None:
        texts.append(request.context.content.text.replace("{topics_prompt}", topics_json(request.topics)))
    if request.passages:
        texts.append(sources_text(request.passages))
    return [text for text in texts if text]


def step_text(request: ModelRequest) -> str:
    """What stands after it: the step's prompt, or nothing outside of flows."""
    if request.step is None:
        return ""
    parts = (request.step.header, request.step.text, request.step.footer)
    return "\n\n".join(part.text for part in parts if part.text)
