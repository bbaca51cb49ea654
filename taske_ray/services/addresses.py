"""One spelling of an e-mail address, so that it belongs to one account (security, 2.3)."""

import re
import unicodedata

from taske_ray.errors import Invalid

_longest = 254
_pattern = re.compile(r"[^\s@\"(),:;<>\[\]\\]+@[^\s@\"(),:;<>\[\]\\]+")


def canonical_address(text: str) -> str:
    """The address trimmed, case-folded, its domain in ASCII. Raises Invalid at /email."""
    address = unicodedata.normalize("NFC", text.strip()).casefold()
    if len(address) > _longest:
        raise Invalid.at("/email", "too_long", f"An e-mail address has at most {_longest} characters")
    if any(unicodedata.category(character).startswith("C") for character in address) or not _pattern.fullmatch(address):
        raise Invalid.at("/email", "bad_address", "This is not an e-mail address")
    name, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode()
    except UnicodeError:
        raise Invalid.at("/email", "bad_address", "This is not an e-mail address") from None
    return f"{name}@{ascii_domain}"
