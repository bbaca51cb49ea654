"""One-time codes: those of an authenticator app (RFC 6238), recovery codes, and codes that are mailed (security, 6)."""

import hmac
import secrets
from datetime import datetime

import pyotp

from taske_ray.security.tokens import digest

period_s = 30
mailed_digits = 8
recovery_codes = 10
_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # base32: 5 bits a character
_secret_characters = 32  # 160 bits
_recovery_characters = 16  # 80 bits
_label_characters = 2
_group = 4


def new_totp_secret() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32(_secret_characters)


def totp_uri(secret: str, *, account: str, issuer: str = "Taske") -> str:
    """What an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def step_at(now: datetime) -> int:
    """The number of the 30 s step that `now` is in."""
    return int(now.timestamp()) // period_s


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Whose code it is: the current step or the one before; None for any other."""
    totp, current = pyotp.TOTP(secret), step_at(now)
    matching = [step for step in (current, current - 1) if hmac.compare_digest(totp.at(step * period_s), code)]
    return matching[0] if matching else None


def new_recovery_codes() -> list[str]:
    """Ten codes like `K7-ABCD-EFGH-IJKL-MNOP`: a public label of two characters, and 80 random bits."""
    labels: set[str] = set()
    while len(labels) < recovery_codes:
        labels.add(_random(_label_characters))
    return [_written(label, _random(_recovery_characters)) for label in sorted(labels)]


def read_code(text: str) -> str:
    """A code as it is compared: without the spaces and hyphens that people type, in upper case."""
    return "".join(character for character in text.upper() if character.isalnum() and character.isascii())


def label_of(code: str) -> str | None:
    """The label of a recovery code that was read; None for what is none."""
    return code[:_label_characters] if len(code) == _label_characters + _recovery_characters else None


def new_mailed_code() -> str:
    """Eight random digits."""
    return f"{secrets.randbelow(10**mailed_digits):0{mailed_digits}d}"


def mailed_code_digest(challenge: str, code: str) -> bytes:
    """What is stored of a mailed code: bound to its login by the challenge, which is stored nowhere."""
    return digest(f"{challenge}|{code}")


def _random(characters: int) -> str:
    return "".join(secrets.choice(_alphabet) for _ in range(characters))


def _written(label: str, body: str) -> str:
    return "-".join([label, *(body[start : start + _group] for start in range(0, len(body), _group))])
