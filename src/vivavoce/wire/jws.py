"""JSON Web Signatures in their general JSON form (RFC 7515), as signed vCons are carried: with the certificate beside them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256


class JwsInvalid(ValueError):
    """It is no such signature, or it does not fit; the message says which."""


def signed(payload: bytes, *, sign: Callable[[bytes], bytes], certificate: bytes, uuid: str) -> dict[str, Any]:
    """Ed25519, which JOSE calls EdDSA. `certificate` is DER."""
    header = {"alg": "EdDSA", "x5c": [base64.b64encode(certificate).decode()], "uuid": uuid}
    protected, body = encoded(msgspec.json.encode({"alg": "EdDSA"})), encoded(payload)
    signature = sign(f"{protected}.{body}".encode())
    return {
        "payload": body,
        "signatures": [{"header": header, "protected": protected, "signature": encoded(signature)}],
    }


def opened(body: dict[str, Any]) -> bytes:
    """What was signed, if the first signature fits the key of its certificate: it says that it is whole, not who made it."""
    try:
        (signature, *_) = body["signatures"]
        protected = msgspec.json.decode(decoded(signature["protected"]))
        header = {**signature.get("header", {}), **protected}
        if "crit" in header:
            raise JwsInvalid("it has critical headers, which are not known here.")
        certificate = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0], validate=True))
        key = certificate.public_key()
        text = f"{signature['protected']}.{body['payload']}".encode()
        proof = decoded(signature["signature"])
        match header["alg"], key:
            case "EdDSA", Ed25519PublicKey():
                key.verify(proof, text)
            case "RS256", RSAPublicKey():
                key.verify(proof, text, padding.PKCS1v15(), SHA256())
            case name, _:
                raise JwsInvalid(f"its algorithm is {str(name)[:20]!r}; EdDSA and RS256 with a fitting x5c are read.")
        return decoded(body["payload"])
    except InvalidSignature:
        raise JwsInvalid("it was changed since it was signed.") from None
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        RecursionError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
    ) as error:
        if isinstance(error, JwsInvalid):
            raise
        raise JwsInvalid("it is not a signed vCon: payload and signatures with x5c are needed.") from error


def encoded(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Base64url without padding. Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(text[:20]) from error
