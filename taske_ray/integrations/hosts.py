"""The last check of the host binding, right before each request and each hop (security, 9.7 and 10.6). Pure."""

from taske_ray.core.capability import is_bound_to
from taske_ray.core.http import HttpRequest
from taske_ray.core.url import WebUrl
from taske_ray.errors import TaskeError
from taske_ray.integrations.egress import EgressGuard


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
