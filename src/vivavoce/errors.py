"""The one root of every error that vivavoce raises on purpose: what it is called, and what a caller may do about it."""

from __future__ import annotations

import msgspec

# What reading JSON that somebody else wrote may raise: bytes that are no text and values nested too deep raise Python's own
# errors, which are none of msgspec's.
NOT_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)


class VivavoceError(Exception):
    """Carries a stable `code`, the HTTP `status` a door should answer with, and whether the same call may work later."""

    code: str = "INTERNAL_ERROR"
    status: int = 500
    retryable: bool = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after  # seconds


class NotFound(VivavoceError):
    code = "NOT_FOUND"
    status = 404


class AgentNotFound(NotFound):
    code = "PROJECT_NOT_FOUND"


class ConversationNotFound(NotFound):
    code = "CONVERSATIONS_NOT_FOUND"

    def __init__(self, message: str = "Conversation ID does not exist.") -> None:
        super().__init__(message)


class Invalid(VivavoceError):
    code = "SCHEMA_VALIDATION_FAILED"
    status = 400


class DraftNotFound(Invalid):
    code = "CHAT_DRAFT_NOT_EXIST"


class ConversationTimedOut(Invalid):
    code = "CHAT_TIMEOUT"


class ConversationEnded(VivavoceError):
    code = "CHAT_CONVERSATION_ENDED"
    status = 410


class Unauthenticated(VivavoceError):
    code = "AUTH_USER_INVALID_TOKEN"
    status = 401


class Forbidden(VivavoceError):
    code = "USER_ACCESS_FORBIDDEN"
    status = 403


class Conflict(VivavoceError):
    """Somebody else wrote first; nothing was overwritten."""

    code = "CONFLICT"
    status = 409


class ConversationExists(Conflict):
    code = "CONVERSATION_ID_EXISTS"


class IdempotencyKeyReused(Conflict):
    code = "IDEMPOTENCY_KEY_REUSED"


class ConversationBusy(Conflict):
    code = "CONVERSATION_BUSY"
    retryable = True


class PayloadTooLarge(VivavoceError):
    code = "PAYLOAD_TOO_LARGE"
    status = 413


class RequestTimeout(VivavoceError):
    code = "REQUEST_TIMEOUT"
    status = 408
    retryable = True


class Unavailable(VivavoceError):
    code = "SERVICE_UNAVAILABLE"
    status = 503
    retryable = True


class UsageError(VivavoceError):
    """Something the person at the terminal asked for cannot be done as asked."""

    code = "USAGE"
    status = 400
