"""Export and import, as they are asked and answered."""

from __future__ import annotations

from msgspec import Raw, Struct

from vivavoce.domain.record import ExportFormat, ExportSignature


class ExportSignatureResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """`sha256` of all bytes that were sent (of format jsonl: but for its last line), `ed25519` over `"vivavoce export"`,
    id, format, conversations and sha256 with a NUL between them; in hexadecimal."""

    id: str
    format: ExportFormat
    conversations: int
    sha256: str
    ed25519: str
    public_key: str


def signature_response(found: ExportSignature) -> ExportSignatureResponse:
    return ExportSignatureResponse(
        id=found.id,
        format=found.format,
        conversations=found.conversations,
        sha256=found.sha256,
        ed25519=found.ed25519,
        public_key=found.public_key,
    )


class ImportBody(Struct, frozen=True, kw_only=True):
    """Lines of an export of format jsonl (but for the last, which is its signature) or vcon; or anybody's vCons."""

    records: list[Raw]


class ImportResponse(Struct, frozen=True, kw_only=True):
    imported: int
    skipped: dict[str, str]  # conversation id -> why
