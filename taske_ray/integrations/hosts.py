"""The host binding: which hosts a module's requests, and so its credentials, may go to (format, section 3). Pure."""

from collections.abc import Iterable

from taske_ray.core.http import HttpRequest
from taske_ray.errors import TaskeError
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.urls import BadUrl, WebUrl, canonical_host, default_ports


class HostNotAllowed(TaskeError):
    """The URL is outside the hosts that this module or connection is bound to, or not https."""

    code = "host_not_allowed"


def check_binding(guard: EgressGuard, request: HttpRequest, url: WebUrl) -> None:
    """Refuse a URL outside the request's hosts, and plain http that the operator did not allow; HostNotAllowed.

    Without a credential and bound to nothing, plain http is everybody's own choice.
    """
    if not is_bound_to(request.allowed_hosts, *url.origin):
        raise HostNotAllowed
    unbound = not request.credentialed and "*" in request.allowed_hosts
    if url.scheme != "https" and not unbound and not guard.allows_plain_http(url.host, url.port):
        raise HostNotAllowed


def is_bound_to(patterns: Iterable[str], scheme: str, host: str, port: int) -> bool:
    """Whether one of the patterns covers a canonical host.

    `host` and `*.suffix` (not the suffix itself) mean the scheme's own port, `host:port` that port, `*` anything.
    """
    return any(_covers(pattern, scheme, host, port) for pattern in patterns)


def _covers(pattern: str, scheme: str, host: str, port: int) -> bool:
    if pattern == "*":
        return True
    name, wanted_port = _split(pattern.strip().lower())
    if port != (default_ports[scheme] if wanted_port is None else wanted_port):
        return False
    wildcard = name.startswith("*.")
    try:
        wanted = canonical_host(name.removeprefix("*."))
    except BadUrl:
        return False
    return host.endswith("." + wanted) if wildcard else host == wanted


def _split(pattern: str) -> tuple[str, int | None]:
    name, separator, port = pattern.rpartition(":")
    if separator and port.isdecimal() and (":" not in name or name.endswith("]")):
        return name, int(port)
    return pattern, None
