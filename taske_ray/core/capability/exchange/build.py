"""Builds one request: templates evaluated, auth applied, hosts checked, and beside it what people may see of it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from taske_ray.core.capability.document.auth import AuthScheme
from taske_ray.core.capability.document.expression import Expression
from taske_ray.core.capability.document.hosts import is_bound_to, is_host_pattern, origin_of
from taske_ray.core.capability.document.request import ENCODINGS, METHODS, RequestSpec, is_engine_header
from taske_ray.core.capability.exchange.encode import (
    Pairs,
    encode_body,
    escape,
    header,
    pairs_of,
    to_text,
    urlencoded,
    without_null,
)
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.module import Module
from taske_ray.core.http import HttpRequest
from taske_ray.core.redaction import MASK, Redactor
from taske_ray.core.url import BadUrl, parse_url

Scope = Mapping[str, Any]
Evaluate = Callable[[Expression, Scope], Any]
_bad_in_url: Final = re.compile(r"[\x00-\x20\x7f\\]")
_plain_redirects: Final = 5
_marks: Final = (MASK, "«", "»")  # written by us for people, so shown as they are


@dataclass(slots=True)
class Parts:
    """A request before it is written: `url` without query of ours, pairs and headers in order."""

    method: str
    url: str
    query: Pairs
    headers: dict[str, str]
    body: Any
    encoding: str
    form_arrays: str

    def copy(self) -> "Parts":
        """A copy to which a page token can be added."""
        return replace(self, query=list(self.query), headers=dict(self.headers))

    def written_url(self) -> str:
        """The absolute URL with the whole query."""
        if not self.query:
            return self.url
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencoded(self.query)}"


@dataclass(slots=True)
class Prepared:
    """The same request twice: as it is sent and as it is shown."""

    sent: Parts
    shown: Parts
    spec: RequestSpec
    origin: tuple[str, str] = ("", "")
    auth_query: frozenset[str] = frozenset()

    def copy(self) -> "Prepared":
        """A copy of both, for one page."""
        sent = self.sent.copy()
        return replace(self, sent=sent, shown=sent if self.shown is self.sent else self.shown.copy())

    def both(self) -> tuple[Parts, ...]:
        """The parts to change: one, where nothing is masked by its place."""
        return (self.sent,) if self.shown is self.sent else (self.sent, self.shown)


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests of one conversation may go, and as whom."""

    module: Module
    scheme: AuthScheme | None
    hosts: tuple[str, ...]
    redactor: Redactor
    check_hosts: bool = field(default=True)

    @property
    def credentialed(self) -> bool:
        """Whether a secret goes along."""
        return self.scheme is not None and self.scheme.has_secret


def route(module: Module, scheme: AuthScheme | None, conn: Mapping[str, Any], *, check_hosts: bool = True) -> Route:
    """The route of a connection (`conn` is what templates see of it), or of none."""
    own = scheme.allowed_hosts if scheme is not None else None
    scope = {"conn": {"config": conn["config"]}}
    hosts = _hosts(own or module.allowed_hosts, scope) if check_hosts else ("*",)
    if own and check_hosts and "*" in hosts:
        raise Refusal("unbound_secret", "a connection with a secret must name its hosts; '*' is none")
    return Route(module, scheme, hosts, Redactor(conn["secret"].values()), check_hosts)


def _hosts(patterns: tuple[Expression, ...], scope: Scope) -> tuple[str, ...]:
    found: list[str] = []
    for pattern in patterns:
        value = pattern.evaluate(scope)
        found.extend(value if isinstance(value, list) else [value])
    for host in found:
        if not isinstance(host, str) or not is_host_pattern(host):
            raise Refusal("bad_host", "allowed_hosts must be 'host', '*.suffix', 'host:port' or '*'")
    return tuple(found)


def prepare(spec: RequestSpec, scope: Scope, way: Route) -> Prepared:
    """Evaluates a request and applies the connection's auth. Raises `Refusal` or `TemplateError`: nothing is sent."""
    sent = _parts(spec, scope, way.module, Expression.evaluate)
    masked = spec.reads_secret or _prefix_is_secret(way)
    shown = _parts(spec, scope, way.module, Expression.masked) if masked else sent
    prepared = Prepared(sent, shown, spec)
    if way.scheme is not None:
        _add_prefix(prepared, way, scope)
        _authorise(prepared, way.scheme, scope)
    prepared.origin = origin_of(sent.url)
    return prepared


def write(prepared: Prepared, way: Route, max_bytes: int) -> HttpRequest:
    """The request in bytes. Raises `Refusal` for a URL that is none or a host that is not allowed."""
    parts = prepared.sent
    written = parts.written_url()
    url = _checked_url(written, way)
    content, kind = encode_body(parts.body, parts.encoding, parts.form_arrays)
    headers = (
        parts.headers if kind is None or "content-type" in parts.headers else {**parts.headers, "content-type": kind}
    )
    redirects = prepared.spec.redirects
    if redirects is None:
        redirects = _plain_redirects if parts.method in ("GET", "HEAD") else 0
    return HttpRequest(
        method=parts.method,
        url=url,
        headers=headers,
        body=content,
        allowed_hosts=way.hosts,
        credentialed=way.credentialed,
        timeout_s=float(prepared.spec.timeout_s),
        max_redirects=redirects,
        max_bytes=max_bytes,
        shown=show(prepared, way, written if prepared.shown is parts else None),
    )


def show(prepared: Prepared, way: Route, written: str | None = None) -> dict[str, Any]:
    """What people see of a request: secrets masked by their place, then by their value.

    `written` is its URL where that was written already, because what is shown is what is sent.
    """
    parts = prepared.shown
    url = written or parts.written_url()
    for mark in _marks if "%" in url else ():
        url = url.replace(quote(mark), mark)
    seen = {"method": parts.method, "url": url, "headers": parts.headers, "body": parts.body}
    shown: dict[str, Any] = way.redactor.json(seen)
    return shown


def _parts(spec: RequestSpec, scope: Scope, module: Module, evaluate: Evaluate) -> Parts:
    method = _word(evaluate(spec.method, scope), METHODS, "method")
    encoding = _word(evaluate(spec.encoding, scope), ENCODINGS, "encoding", default="auto", upper=False)
    headers = _object_of(module.defaults.headers, scope, evaluate, "headers")
    headers |= _object_of(spec.headers, scope, evaluate, "headers")
    query = _object_of(spec.query, scope, evaluate, "query")
    body = evaluate(spec.body, scope) if spec.body is not None else None
    if not spec.keep_null:
        headers, query, body = without_null(headers), without_null(query), without_null(body)
    return Parts(
        method=method,
        url=_url(spec, scope, module, evaluate),
        query=pairs_of(query, spec.query_arrays),
        headers=_headers(headers),
        body=body,
        encoding=encoding,
        form_arrays=spec.form_arrays,
    )


def _word(value: Any, words: tuple[str, ...], what: str, *, default: str | None = None, upper: bool = True) -> str:
    if value in (None, "") and default is not None:
        return default
    found = value.upper() if upper and isinstance(value, str) else value
    if found not in words:
        raise Refusal("bad_enum", f"{what} must be one of: {', '.join(words)}")
    return str(found)


def _object_of(expression: Expression | None, scope: Scope, evaluate: Evaluate, what: str) -> dict[str, Any]:
    value = evaluate(expression, scope) if expression is not None else None
    if value is None:
        return {}
    if value == MASK:
        return {MASK: MASK}
    if not isinstance(value, dict):
        raise Refusal("template_type", f"{what} must be an object")
    return value


def _headers(values: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        key, text = header(name, value) if name != MASK else (MASK, MASK)
        if is_engine_header(key):
            raise Refusal("reserved_header", f"the header '{key}' is set by the engine")
        found[key] = text
    return found


def _url(spec: RequestSpec, scope: Scope, module: Module, evaluate: Evaluate) -> str:
    target = spec.target
    if target.url is not None:
        value = evaluate(target.url, scope)
        if not isinstance(value, str) or not value:
            raise Refusal("bad_url", "the URL must be a text")
        return value.partition("#")[0]
    pieces = [target.pieces[0]]
    for name, piece in zip(target.names, target.pieces[1:], strict=True):
        pieces += (_segment(name, evaluate(spec.path_params[name], scope)), piece)
    path = "".join(pieces)
    if not target.relative:
        return path
    base = module.base_url.evaluate(scope) if module.base_url is not None else ""
    return f"{str(base).rstrip('/')}{path}"


def _segment(name: str, value: Any) -> str:
    """A value as one path segment; what could change the path's structure is refused."""
    text = to_text(value)
    if text in ("", ".", ".."):
        raise Refusal("path_param_mismatch", f"the path parameter '{name}' must not be empty, '.' or '..'")
    return escape(text)


def _prefix_is_secret(way: Route) -> bool:
    prefix = way.scheme.apply.path_prefix if way.scheme is not None else None
    return prefix is not None and prefix.reads_secret


def _add_prefix(prepared: Prepared, way: Route, scope: Scope) -> None:
    """Puts a scheme's path prefix between the base URL and the path of a relative request."""
    prefix = way.scheme.apply.path_prefix if way.scheme is not None else None
    if prefix is None or not prepared.spec.target.relative or way.module.base_url is None:
        return
    base = str(way.module.base_url.evaluate(scope)).rstrip("/")
    for parts in prepared.both():
        text = to_text(prefix.evaluate(scope))
        if parts is not prepared.sent:
            text = f"/{MASK}"
        elif _bad_in_url.search(text) or "?" in text or "#" in text:
            raise Refusal("bad_url", "the path prefix of the connection does not fit into a URL")
        parts.url = f"{base}{text}{parts.url[len(base) :]}"


def _authorise(prepared: Prepared, scheme: AuthScheme, scope: Scope) -> None:
    """Adds what the scheme applies; every value of it is masked in what is shown if it names a secret."""
    apply = scheme.apply
    if apply.headers is None and apply.query is None and apply.body is None:
        return
    if prepared.shown is prepared.sent:
        prepared.shown = prepared.sent.copy()
    sent, shown = prepared.sent, prepared.shown
    headers = _headers(_object_of(apply.headers, scope, Expression.evaluate, "headers"))
    sent.headers |= headers
    shown.headers |= _hidden(apply.headers, headers)
    query = without_null(_object_of(apply.query, scope, Expression.evaluate, "query"))
    prepared.auth_query = frozenset(query)
    sent.query += pairs_of(query, "repeat")
    shown.query += pairs_of(_hidden(apply.query, query), "repeat")
    body = _object_of(apply.body, scope, Expression.evaluate, "body")
    if body:
        sent.body = _merged(sent.body, body)
        shown.body = _merged(shown.body, _hidden(apply.body, body))


def _hidden(expression: Expression | None, values: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(values, MASK) if expression is not None and expression.reads_secret else values


def _merged(body: Any, more: dict[str, Any]) -> dict[str, Any]:
    if body is None:
        return more
    if not isinstance(body, dict):
        raise Refusal("bad_body", "the connection adds to the body, which must be an object")
    return {**body, **more}


def _checked_url(url: str, way: Route) -> str:
    """A URL fit for sending: absolute, http(s), without user information, canonical, and to an allowed host."""
    try:
        parsed = parse_url(url)
    except BadUrl:
        message = "the URL must be an absolute http(s) URL without user information and white space"
        raise Refusal("bad_url", message) from None
    if way.check_hosts and not is_bound_to(way.hosts, *parsed.origin):
        raise Refusal("host_not_allowed", f"requests may not go to {parsed.host}: it is not in allowed_hosts")
    return parsed.text
