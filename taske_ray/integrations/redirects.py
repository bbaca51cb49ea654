"""Where a redirect leads and what may follow it there (security, 10.6). Pure; every hop is checked like a first one."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urljoin

from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.url import BadUrl, WebUrl, parse_url
from taske_ray.integrations.failures import Refused
from taske_ray.integrations.headers import headers_elsewhere

_redirect_statuses = frozenset({301, 302, 303, 307, 308})


def redirected(request: HttpRequest, url: WebUrl, response: HttpResponse) -> HttpRequest | None:
    """The request that a redirect asks for; None where there is nothing to follow.

    Raises Refused for a step down from https and for a Location that is no URL.
    """
    location = response.headers.get("location")
    if response.status not in _redirect_statuses or not location or request.max_redirects < 1:
        return None
    try:
        target = parse_url(urljoin(url.text, location))
    except (ValueError, BadUrl):
        raise Refused("redirect_refused", "The service redirects to something that is not a web address.") from None
    if url.scheme == "https" and target.scheme != "https":
        raise Refused("redirect_refused", "The service redirects from https to a place without it.")
    return _next_request(request, url, target, response.status)


def _next_request(request: HttpRequest, url: WebUrl, target: WebUrl, status: int) -> HttpRequest:
    reads = request.method in ("GET", "HEAD")
    becomes_get = not reads and (status == 303 or (status in (301, 302) and request.method == "POST"))  # noqa: PLR2004 - See Other
    method, body, headers = request.method, request.body, request.headers
    if becomes_get:
        method, body, headers = "GET", None, _without_body_headers(headers)
    if target.origin != url.origin:
        return replace(
            request, method=method, url=target.text, body=None, headers=headers_elsewhere(headers), credentialed=False
        )
    return replace(request, method=method, url=target.text, body=body, headers=headers)


def _without_body_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
