"""Which request headers users and modules may set, and which follow a redirect to another origin. Pure."""

import re
from collections.abc import Mapping

from taske_ray.errors import TaskeError

# They frame the message or claim where it comes from; ours alone to write (security, 10.5).
_not_settable = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "forwarded", "keep-alive", "te", "trailer",
     "upgrade", "expect", "proxy-authorization", "proxy-connection", "proxy-authenticate"}
)  # fmt: skip
_follow_elsewhere = frozenset({"accept", "accept-language", "user-agent"})
_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class HeaderRefused(TaskeError):
    """A header that cannot be set, or a value with a line break."""

    code = "header_not_allowed"


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as they go out, with our own defaults; raises HeaderRefused naming the one that may not."""
    outgoing = {"user-agent": "taske", "accept": "*/*"}
    for name, value in headers.items():
        lower = name.lower()
        if lower in _not_settable or lower.startswith("x-forwarded-") or not _name.fullmatch(name):
            raise HeaderRefused(f"The header {name[:100]!r} cannot be set.")
        if _control.search(value):
            raise HeaderRefused(f"The value of the header {name!r} contains a line break or a control character.")
        outgoing[lower] = value.strip()
    outgoing["accept-encoding"] = "gzip"  # the only coding we decode
    if not _encodable("".join(outgoing.values())):
        raise HeaderRefused("The value of a header contains half of a character.")
    return outgoing


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def headers_elsewhere(headers: Mapping[str, str]) -> dict[str, str]:
    """What may follow to another origin: an allow-list, since any header of a module may carry a secret."""
    return {name: value for name, value in headers.items() if name.lower() in _follow_elsewhere}
