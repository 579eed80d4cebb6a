"""What a body says of a conversation that begins."""

from __future__ import annotations

from vivavoce.service.chats import Opening
from vivavoce.wire.chat import OpeningBody


def opening_of(body: OpeningBody) -> Opening:
    return Opening(
        environment=body.client_env,
        id=body.conversation_id,
        variant=body.variant_id,
        asr_language=body.asr_lang_code,
        tts_language=body.tts_lang_code,
        integration_attributes=body.integration_attributes or {},
        caller_number=body.caller_number,
        callee_number=body.callee_number,
        sip_headers=body.sip_headers or {},
    )
