"""What a token endpoint answered: tokens, or why not. Whatever comes, it ends in one of the two, without a secret."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from taske_ray.core.capability.exchange.decode import read_json, view
from taske_ray.core.capability.exchange.verdict import by_status, read_wait
from taske_ray.core.capability.tokens.parties import Asking
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.redaction import Redactor
from taske_ray.core.template.filters.paths import dig
from taske_ray.core.template.limits import Work
from taske_ray.core.times import parse_time

token_names: Final = ("access_token", "refresh_token")
_longest_token: Final = 16 * 1024
_longest_life_s: Final = 10 * 366 * 86_400.0
_milliseconds: Final = 1e11  # no clock shows so many seconds before the year 5138
_longest_message: Final = 500
_ok: Final = range(200, 300)
_later: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_our_mistakes: Final = frozenset({"invalid_request", "unsupported_grant_type", "invalid_scope"})
_of_the_client: Final = frozenset({"invalid_client", "unauthorized_client"})
_refusals: Final = frozenset({400, 401, 403})
_usable: Final = re.compile(r"[\x20-\x7e]+")
_transient: Final = (ErrorClass.TRANSIENT, ErrorClass.RATE_LIMITED)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a connection lives on. `scopes` None: the provider did not say. `answer` is what templates see of it."""

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None
    answer: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def kept_in(self, secret: Mapping[str, Any]) -> dict[str, Any]:
        """A connection's secrets with these tokens in place of any others."""
        kept = {name: value for name, value in secret.items() if name not in token_names}
        refresh = {} if self.refresh is None else {"refresh_token": self.refresh}
        return {**kept, "access_token": self.access, **refresh}


def read_answer(asking: Asking, response: HttpResponse, paths: Mapping[str, str], *hidden: str) -> Tokens | Failed:
    """The tokens of an answer, at the paths of the provider's dialect; else the class of the refusal."""
    seen = _seen(response)
    body = seen["body"]
    if response.status in _ok:
        access = _at(body, paths["access"])
        if _is_token(access):
            return Tokens(
                access=access,
                refresh=_text(_at(body, paths["refresh"])),
                expires_at=_expires_at(body, paths, asking.now),
                scopes=read_scopes(_at(body, paths["scope"])),
                answer=seen,
            )
    return _refused(asking, seen, Redactor([*asking.secrets, *hidden]))


def read_scopes(value: Any) -> tuple[str, ...] | None:
    """Scopes of an answer, whatever separates them; None where nothing is said."""
    parts = value if isinstance(value, list) else re.split(r"[\s,]+", value) if isinstance(value, str) else []
    found = tuple(dict.fromkeys(part for part in parts if isinstance(part, str) and part))
    return found or None


def life_of(value: Any, now: datetime) -> datetime | None:
    """When something ends that lives so many seconds from now; None for what is no such number."""
    seconds = _number(value)
    return now + timedelta(seconds=min(seconds, _longest_life_s)) if seconds is not None and seconds > 0 else None


def bad_answer(response: HttpResponse, missing: str) -> Failed:
    """A success that brings nothing. It is told by its looks alone: its content may be a secret."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip()[:100] or "no content type"
    message = f"The answer has no {missing}: status {response.status}, {kind}, {len(response.body)} bytes."
    return Failed(ErrorClass.INVALID, "bad_token_answer", message, http_status=response.status)


def _seen(response: HttpResponse) -> dict[str, Any]:
    """The answer as templates see it; read as JSON or as a form, whichever comes."""
    seen = view(response, "text")
    return {**seen, "body": _body(seen["text"])}


def _body(text: str) -> Any:
    try:
        if text.lstrip()[:1] in ("{", "["):
            return read_json(text)
        return dict(parse_qsl(text, strict_parsing=True, max_num_fields=100)) or None
    except (ValueError, RecursionError):
        return None


def _at(body: Any, path: str) -> Any:
    return dig(Work(), body, path)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _longest_token and _usable.fullmatch(value) is not None


def _text(value: Any) -> str | None:
    return value if _is_token(value) else None


def _expires_at(body: Any, paths: Mapping[str, str], now: datetime) -> datetime | None:
    """Zero, nothing and nonsense mean that nobody knows."""
    stated = life_of(_at(body, paths["expires_in"]), now)
    if stated is not None:
        return stated
    value = _at(body, paths["expires_at"])
    moment = _number(value)
    try:
        if moment is not None:
            return (
                datetime.fromtimestamp(moment / 1000 if moment > _milliseconds else moment, UTC) if moment > 0 else None
            )
        return parse_time(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _refused(asking: Asking, seen: Mapping[str, Any], redactor: Redactor) -> Failed:
    status, body = seen["status"], seen["body"]
    error = body.get("error") if isinstance(body, dict) else None
    if status in _ok and not error and not _is_revoked(asking, seen):
        return bad_answer(HttpResponse(status, seen["headers"], seen["text"].encode()), "access token")
    failed = Failed(
        _class(asking, seen, error if isinstance(error, str) else None),
        "token_refused",
        _message(status, body, redactor),
        http_status=status,
    )
    if failed.error_class in _transient:
        wait = read_wait(seen["headers"].get("retry-after"), asking.now)
        return replace(failed, code="token_endpoint_busy", retry_after_s=wait)
    return failed


def _class(asking: Asking, seen: Mapping[str, Any], error: str | None) -> ErrorClass:
    """Revoked: only a new consent, or a new secret of the user's, helps. Permission: the document or our client."""
    status = seen["status"]
    if _is_revoked(asking, seen):
        return ErrorClass.AUTH_REVOKED
    if error in _later or by_status(status) in _transient:
        return by_status(status) if by_status(status) in _transient else ErrorClass.TRANSIENT
    if error in _of_the_client:
        return ErrorClass.AUTH_REVOKED if asking.own_client is not None else ErrorClass.PERMISSION
    if error in _our_mistakes:
        return ErrorClass.PERMISSION
    if status not in _refusals and status not in _ok:
        return ErrorClass.INVALID
    stated = asking.scheme.oauth is not None and asking.scheme.oauth.refresh.revoked_when is not None
    return ErrorClass.PERMISSION if stated else ErrorClass.AUTH_REVOKED


def _is_revoked(asking: Asking, seen: Mapping[str, Any]) -> bool:
    oauth = asking.scheme.oauth
    rule = oauth.refresh.revoked_when if oauth is not None else None
    if rule is not None:
        return bool(rule.evaluate({"conn": {"config": asking.conn["config"]}, "response": seen}))
    return isinstance(seen["body"], dict) and seen["body"].get("error") == "invalid_grant"


def _message(status: int, body: Any, redactor: Redactor) -> str:
    said = [body.get(name) for name in ("error", "error_description")] if isinstance(body, dict) else []
    texts = [part if isinstance(part, str) else json.dumps(part) for part in said if part]
    text = ": ".join(texts) or f"the token endpoint answered {status}"
    return redactor.text(text)[:_longest_message]
