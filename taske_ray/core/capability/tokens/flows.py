"""Conversations that bring tokens, without I/O: each yields requests and returns `Tokens`, or the `Failed` it came to.

    exchange ──▶ a code and its verifier for the first tokens        renew ──▶ the next ones, by the scheme's type
    complete ──▶ what a new connection is called and what it saves   revoke ─▶ the provider forgets a token

No error of a document, a connection or a provider is raised.
"""

import base64
import binascii
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from taske_ray.core.capability.document.expression import Expression
from taske_ray.core.capability.document.oauth import JwtSpec, TokenSpec
from taske_ray.core.capability.exchange.build import prepare, write
from taske_ray.core.capability.exchange.decode import view
from taske_ray.core.capability.exchange.encode import to_text
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.exchange.verdict import judge
from taske_ray.core.capability.tokens.answer import Tokens, bad_answer, life_of, read_answer
from taske_ray.core.capability.tokens.endpoint import max_bytes, post, token_request
from taske_ray.core.capability.tokens.parties import Asking
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.times import format_time
from taske_ray.errors import TemplateError

Flow = Generator[HttpRequest, HttpResponse, Tokens | Failed]
Sign = Callable[[str, bytes, Mapping[str, Any], Mapping[str, Any]], str]
"""(algorithm, key, header, claims) -> a JWT in compact form; raises ValueError for a key that does not fit."""

_T = TypeVar("_T")
_jwt_bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_later = (ErrorClass.TRANSIENT, ErrorClass.RATE_LIMITED)


@dataclass(frozen=True, slots=True)
class Completed:
    """What a new connection is called, and what it keeps besides its tokens."""

    config: dict[str, Any] = field(default_factory=dict)
    label: str | None = None


def exchange(asking: Asking, *, code: str, verifier: str, redirect_uri: str) -> Flow:
    """The first tokens of a code flow."""
    return (yield from _safely(asking, _exchange(asking, code, verifier, redirect_uri)))


def renew(asking: Asking, sign: Sign) -> Flow:
    """New tokens for a connection, from what it holds."""
    return (yield from _safely(asking, _renew(asking, sign)))


def complete(asking: Asking, tokens: Tokens) -> Generator[HttpRequest, HttpResponse, Completed | Failed]:
    """Ask what is to be known about a new connection; `asking` holds its tokens already."""
    return (yield from _safely(asking, _complete(asking, tokens)))


def revoke(asking: Asking) -> Generator[HttpRequest, HttpResponse, Failed | None]:
    """Have the provider forget what the connection holds (RFC 7009); None when it did, or cannot."""
    return (yield from _safely(asking, _revoke(asking)))


def _safely(
    asking: Asking, flow: Generator[HttpRequest, HttpResponse, _T]
) -> Generator[HttpRequest, HttpResponse, _T | Failed]:
    try:
        return (yield from flow)
    except (TemplateError, Refusal) as error:
        error_class = error.error_class if isinstance(error, Refusal) else ErrorClass.FATAL
        return Failed(error_class, error.code, _masked(asking, error.message), sent=False)
    except RecursionError:
        return Failed(ErrorClass.FATAL, "template_limit", "a value is nested too deep", sent=False)


def _masked(asking: Asking, text: str) -> str:
    try:
        return asking.route().redactor.text(text)
    except (Refusal, TemplateError):
        return text  # the hosts themselves were refused: no secret is in such a message


def _exchange(asking: Asking, code: str, verifier: str, redirect_uri: str) -> Flow:
    oauth = asking.oauth
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if oauth.pkce == "S256":
        grant["code_verifier"] = verifier
    response = yield token_request(asking, oauth.token_url, grant, oauth.token_params, code, verifier)
    return read_answer(asking, response, oauth.token_path, code, verifier)


def _renew(asking: Asking, sign: Sign) -> Flow:
    scheme = asking.scheme
    if scheme.type == "oauth2_code":
        return (yield from _refresh(asking))
    if scheme.type == "oauth2_client_credentials":
        return (yield from _client_credentials(asking))
    if scheme.token is not None:
        return (yield from _log_in(asking, scheme.token))
    assert scheme.jwt is not None
    return (yield from _assert(asking, scheme.jwt, sign))


def _refresh(asking: Asking) -> Flow:
    oauth, token = asking.oauth, asking.connection.secret.get("refresh_token")
    if not token:
        message = "The access token is no longer accepted, and there is no refresh token."
        return Failed(ErrorClass.AUTH_REVOKED, "not_refreshable", message, sent=False)
    grant = {"grant_type": "refresh_token", "refresh_token": token}
    response = yield token_request(asking, oauth.refresh_url or oauth.token_url, grant, oauth.refresh_params)
    found = read_answer(asking, response, oauth.token_path)
    if isinstance(found, Tokens) and found.refresh is None and oauth.refresh.keep_old_refresh_token:
        return replace(found, refresh=str(token))
    return found


def _client_credentials(asking: Asking) -> Flow:
    oauth = asking.oauth
    grant = {"grant_type": "client_credentials", "scope": oauth.scope_separator.join(oauth.base_scopes) or None}
    response = yield token_request(asking, oauth.token_url, grant, oauth.token_params)
    found = read_answer(asking, response, oauth.token_path)
    return replace(found, refresh=None) if isinstance(found, Tokens) else found


def _log_in(asking: Asking, spec: TokenSpec) -> Flow:
    """`token_request`: one request of the module's own; its error rules judge the answer."""
    way = asking.route()
    request = write(prepare(spec.request, asking.scope, way), way, max_bytes)
    response = yield replace(request, credentialed=True)
    seen = _seen(asking, view(response, asking.module.defaults.decode))
    failed = _judged(asking, seen)
    if failed is not None:
        gone = failed.error_class is ErrorClass.AUTH_EXPIRED
        return replace(failed, error_class=ErrorClass.AUTH_REVOKED) if gone else failed
    access = spec.access.evaluate(seen)
    if not isinstance(access, str) or not access:
        return bad_answer(response, "token where 'access' looks for it")
    lives = spec.expires_in.evaluate(seen) if spec.expires_in is not None else None
    return Tokens(access=access, expires_at=life_of(lives, asking.now), answer=seen["response"])


def _assert(asking: Asking, spec: JwtSpec, sign: Sign) -> Flow:
    """`jwt_bearer`: the signed assertion is the token, or is exchanged for one."""
    ends_at = asking.now + timedelta(seconds=spec.lifetime_s)
    assertion = _signed(asking, spec, sign, ends_at)
    if spec.token_url is None:
        return Tokens(access=assertion, expires_at=ends_at)
    grant = {"grant_type": _jwt_bearer, "assertion": assertion}
    response = yield post(asking, spec.token_url, grant, "form", {}, (assertion,))
    return read_answer(asking, response, spec.token_path, assertion)


def _signed(asking: Asking, spec: JwtSpec, sign: Sign, ends_at: datetime) -> str:
    claims, header = _table(asking, spec.claims), _table(asking, spec.header)
    times = {"iat": int(asking.now.timestamp()), "exp": int(ends_at.timestamp())}
    try:
        key = _key(to_text(spec.key.evaluate(asking.scope)), spec.key_encoding)
        return sign(spec.algorithm, key, header, {**claims, **times})
    except ValueError:  # its text could quote the key
        message = f"the key of the connection does not fit {spec.algorithm}"
        raise Refusal("bad_key", message, ErrorClass.INVALID) from None


def _table(asking: Asking, expression: Expression | None) -> dict[str, Any]:
    found = expression.evaluate(asking.scope) if expression is not None else {}
    if not isinstance(found, dict):
        raise Refusal("template_type", "the claims and the header of a JWT must be objects")
    return found


def _key(text: str, encoding: str) -> bytes:
    if encoding == "hex":
        return bytes.fromhex(text)
    if encoding == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
    return text.encode()


def _complete(asking: Asking, tokens: Tokens) -> Generator[HttpRequest, HttpResponse, Completed | Failed]:
    oauth, config = asking.scheme.oauth, {}
    if oauth is not None:
        config = _saved(asking, oauth.save, tokens.answer)
        asking = asking.holding(config, {})
        if oauth.post_connect is not None:
            way = asking.route(authorised=True)
            response = yield write(prepare(oauth.post_connect.request, asking.scope, way), way, max_bytes)
            seen = view(response, asking.module.defaults.decode)
            failed = _judged(asking, _seen(asking, seen))
            if failed is not None:
                return failed
            config |= _saved(asking, oauth.post_connect.save, seen)
            asking = asking.holding(config, {})
    label = yield from _label(asking, tokens)
    return label if isinstance(label, Failed) else Completed(config, label)


def _label(asking: Asking, tokens: Tokens) -> Generator[HttpRequest, HttpResponse, str | Failed | None]:
    """The name that the service itself gives. A service that is busy just now is no reason to refuse the connection."""
    scheme, answer = asking.scheme, tokens.answer
    if scheme.test is not None:
        way = asking.route(authorised=True)
        response = yield write(prepare(scheme.test, asking.scope, way), way, max_bytes)
        answer = view(response, asking.module.defaults.decode)
        failed = _judged(asking, _seen(asking, answer))
        if failed is not None:
            return None if failed.error_class in _later else failed
    if scheme.label is None:
        return None
    try:
        found = scheme.label.evaluate(_seen(asking, answer))
    except TemplateError:
        return None  # a name that is missing is no reason either
    return None if found is None else asking.route().redactor.text(to_text(found))


def _saved(asking: Asking, save: Mapping[str, Expression], answer: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the open half of the connection; never a secret, checked by value (format, 2.7)."""
    found = {name: part.evaluate(_seen(asking, answer)) for name, part in save.items()}
    redactor = asking.route().redactor
    for name, value in found.items():
        if redactor.data([value]) != [value]:
            raise Refusal("secret_not_allowed", f"'save' would write a secret into conn.config.{name}")
    return {name: value for name, value in found.items() if value is not None}


def _seen(asking: Asking, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"conn": {"config": asking.conn["config"]}, "response": answer, "now": format_time(asking.now)}


def _judged(asking: Asking, seen: Mapping[str, Any]) -> Failed | None:
    policies = asking.module.policies
    return judge(
        policies.errors,
        None,
        seen,
        connected=True,
        rate_headers=policies.rate_headers,
        redactor=asking.route().redactor,
    )


def _revoke(asking: Asking) -> Generator[HttpRequest, HttpResponse, Failed | None]:
    oauth, secret = asking.scheme.oauth, asking.connection.secret
    kind = "refresh_token" if secret.get("refresh_token") else "access_token"
    if oauth is None or oauth.revoke_url is None or not secret.get(kind):
        return None
    response = yield token_request(asking, oauth.revoke_url, {"token": secret[kind], "token_type_hint": kind}, None)
    if response.status < 300:  # noqa: PLR2004 - HTTP's own figure
        return None
    message = f"The provider answered {response.status} when it was asked to forget the token."
    return Failed(ErrorClass.INVALID, "not_revoked", message, http_status=response.status)
