"""One spelling of an e-mail address, so that it belongs to one account (security, 2.3)."""

import re
import unicodedata

from taske_ray.core.url import BadUrl, canonical_host, literal_address
from taske_ray.errors import Invalid

_longest = 254
_name = re.compile(r"[^\s@\"(),:;<>\[\]\\]{1,64}")
_invisible = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def canonical_address(text: str) -> str:
    """The address trimmed, case-folded, its domain in ASCII (IDNA 2008). Raises Invalid at /email."""
    trimmed = unicodedata.normalize("NFC", text.strip(" "))
    name, _, domain = trimmed.rpartition("@")
    if not _name.fullmatch(name) or any(unicodedata.category(character) in _invisible for character in trimmed):
        raise _refused("bad_address", "This is not an e-mail address")
    try:
        host = canonical_host(domain)
    except BadUrl:
        raise _refused("bad_address", "This is not an e-mail address") from None
    if literal_address(host) is not None:
        raise _refused("bad_address", "The domain of an e-mail address is a name")
    address = f"{name.casefold()}@{host}"
    if max(len(address), len(trimmed)) > _longest:
        raise _refused("too_long", f"An e-mail address has at most {_longest} characters")
    return address


def _refused(code: str, message: str) -> Invalid:
    return Invalid.at("/email", code, message)
