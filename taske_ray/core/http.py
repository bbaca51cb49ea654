"""An HTTP exchange as plain values, so that building and reading one needs no network."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, ready to send.

    `url` is absolute and contains the query. `headers` have lower-case names. `allowed_hosts` are the patterns of
    the host binding (format, section 3) that the URL, every redirect and every next page must match; `credentialed`
    says that a secret is in it, so that it needs https unless the operator allowed the host. `shown` is the same
    request for people: `{method, url, headers, body}` with every secret masked. `depth` is how many runs of ours stand
    behind it: said at our own addresses, wherever a redirect leads, and nowhere else.
    """

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    allowed_hosts: tuple[str, ...] = ("*",)
    credentialed: bool = False
    timeout_s: float = 30.0
    max_redirects: int = 0
    max_bytes: int = 5 * 1024 * 1024
    shown: dict[str, Any] = field(default_factory=dict)
    depth: int = 0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One complete response: `headers` with lower-case names, `body` decoded from its content coding, final `url`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""
