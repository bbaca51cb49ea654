"""Passwords: what is accepted, and how they are kept (security, 2.1, 2.2 and 2.7).

Hashing is slow on purpose; `hashing.py` is how a server calls it.
"""

import itertools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from taske_ray.errors import FieldError, Invalid

min_length = 8
max_length = 1024  # far above the 128 that must be accepted; the body is capped before
_product = "taske"
_shortest_part = 4
_long = 15  # from here on, length makes up for a simple pattern

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Made once with the parameters above, so that an unknown account costs as much as a known one.
_dummy = _hasher.hash("no account has this password")

# What every list of stolen passwords starts with and the rules below do not already catch.
_common = frozenset(
    """
    password password1 passw0rd p@ssw0rd p@ssword password123 password12 iloveyou sunshine princess football baseball
    superman trustno1 welcome1 welcome123 letmein1 letmein123 qwertyuiop qwerty123 qwerty12 1q2w3e4r 1q2w3e4r5t
    q1w2e3r4 zaq12wsx 1qaz2wsx qazwsxedc asdfghjkl zxcvbnm1 abcd1234 abc12345 a1b2c3d4 admin123 admin1234
    administrator changeme changeme1 default1 computer whatever starwars michelle jennifer jordan23 michael1 charlie1
    dragon123 monkey123 shadow123 master123 mustang1 access14 corvette liverpool chelsea1 arsenal1 pokemon1 naruto123
    samsung1 internet google123 facebook iloveyou1 babygirl blink182 hello123 hellohello loveyou1 lovelove test1234
    testtest root1234 rootroot guest123 user1234 secret123 security sysadmin letmeinnow opensesame dlrtjsdn dkssudgktpdy
    """.split()  # noqa: SIM905 - one word a line would be a page
)


def check_password(password: str, *, address: str = "") -> None:
    """Raise Invalid with every rule that a new password breaks. Nothing about its composition is asked."""
    errors = [FieldError("/password", code, message) for code, message in _broken_rules(password, address)]
    if errors:
        raise Invalid("The password cannot be used.", errors=errors)


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


def _broken_rules(password: str, address: str) -> list[tuple[str, str]]:
    if len(password) < min_length:
        return [("too_short", f"A password has at least {min_length} characters.")]
    if len(password) > max_length:
        return [("too_long", f"A password has at most {max_length} characters.")]
    if any(0xD800 <= ord(character) < 0xE000 for character in password):  # noqa: PLR2004 - surrogates
        return [("bad_characters", "The password contains half of a character.")]
    if _is_guessable(password.casefold(), address.casefold()):
        return [("too_common", "This password is among the first that anyone tries. A longer phrase is better.")]
    return []


def _is_guessable(password: str, address: str) -> bool:
    core = password.strip("0123456789!?.*_- ")
    words = {_product, address, *(part for part in _parts(address) if len(part) >= _shortest_part)}
    if password in _common or core in _common or password in words or core in words:
        return True
    return len(password) < _long and (len(set(password)) <= 2 or _is_row(password))  # noqa: PLR2004 - aaaaaaaa, abababab


def _parts(address: str) -> list[str]:
    name, _, domain = address.partition("@")
    return [name, domain, *name.replace("-", ".").replace("_", ".").replace("+", ".").split("."), *domain.split(".")]


def _is_row(password: str) -> bool:
    """12345678, abcdefgh, 87654321: every character one step from the one before."""
    steps = {(ord(after) - ord(before)) % 10 for before, after in itertools.pairwise(password)}
    return steps in ({1}, {9})
