"""A request to a provider's token endpoint, in the provider's dialect (format, section 3: OAuth)."""

import base64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from taske_ray.core.capability.document.expression import Expression
from taske_ray.core.capability.document.hosts import is_allowed
from taske_ray.core.capability.exchange.encode import encode_body, without_null
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.tokens.parties import Asking, OAuthClient
from taske_ray.core.http import HttpRequest
from taske_ray.core.redaction import MASK

timeout_s: Final = 20.0
max_bytes: Final = 1024 * 1024


def token_request(
    asking: Asking, url: str, grant: Mapping[str, Any], extra: Expression | None, *hidden: str
) -> HttpRequest:
    """A POST with the grant, what the document adds to it, and our client where the provider wants it."""
    oauth, client = asking.oauth, asking.client
    params = {**grant, **extra_params(asking, extra)}
    headers: dict[str, str] = {}
    if oauth.client_auth == "basic" and client.secret is not None:
        headers["authorization"] = _basic(client)
    else:
        params = {"client_id": client.id, "client_secret": client.secret, **params}
    return post(asking, url, without_null(params), oauth.body_format, headers, hidden)


def post(
    asking: Asking,
    url: str,
    params: Mapping[str, Any],
    body_format: str,
    headers: Mapping[str, str],
    hidden: tuple[str, ...] = (),
) -> HttpRequest:
    """The request; it may go to the hosts of the module only. All that is shown of its parameters is their names."""
    way = asking.route(*hidden)
    if not is_allowed(url, way.hosts):
        raise Refusal("host_not_allowed", "the token endpoint is not in allowed_hosts")
    body, kind = encode_body(dict(params), body_format, "repeat")
    return HttpRequest(
        method="POST",
        url=url,
        headers={"accept": "application/json", "content-type": kind or "", **headers},
        body=body,
        allowed_hosts=way.hosts,
        credentialed=True,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
        shown={"method": "POST", "url": url, "headers": {}, "body": dict.fromkeys(params, MASK)},
    )


def extra_params(asking: Asking, extra: Expression | None) -> dict[str, Any]:
    """What the document adds to a request's parameters."""
    found = extra.evaluate(asking.scope) if extra is not None else None
    if found is not None and not isinstance(found, dict):
        raise Refusal("template_type", "parameters must be an object")
    return found or {}


def _basic(client: OAuthClient) -> str:
    """RFC 6749, 2.3.1: both parts are form-encoded before they are joined."""
    pair = f"{quote_plus(client.id)}:{quote_plus(client.secret or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
