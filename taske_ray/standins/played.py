"""Plays a provider from a document in `services/`: a small engine that is as strict as a provider would be.

A document names the credential, a limit, collections with what they hold at first, routes and a login (`oauth`, played
by `consent.py`). A route checks query and
body by a JSON Schema (an unknown parameter is refused), then lists a page of a collection, makes, reads or removes an
item, or just answers. Answers are templates of the same language as modules have, with `path`, `query`, `body`, `item`,
`items`, `page` and `number`. Nothing is called from here: what a registered webhook would get waits in `deliveries`.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from taske_ray.catalog.document import parse_yaml
from taske_ray.core.capability.document.schema import Check
from taske_ray.core.template import OMIT, compile_condition, compile_value
from taske_ray.standins.consent import Login

Values = dict[str, Any]
_page: Final = {"number": 1, "next": None, "more": False}


@cache
def services() -> dict[str, Values]:
    """The documents by name."""
    found = {}
    for path in files("taske_ray.standins").joinpath("services").iterdir():
        if path.name.endswith(".yaml"):
            document = parse_yaml(path.read_text(encoding="utf-8"))
            found[document["service"]] = document
    return found


def client_ids() -> list[str]:
    """What the played logins know their client by."""
    return [service["oauth"]["client"]["id"] for service in services().values() if "oauth" in service]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that the provider would send now."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Player:
    """One provider: `tokens` are accepted, `collections` what it holds, the next `fail_next` requests get a 503."""

    document: Values
    tokens: set[str] = field(default_factory=set)
    collections: dict[str, list[Values]] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    fail_next: int = 0
    refuse_next: int = 0
    login: Login | None = None
    monotonic: Callable[[], float] = time.monotonic
    _numbers: int = 0
    _recent: list[float] = field(default_factory=list)
    _answers: dict[str, Response] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, items in self.document.get("collections", {}).items():
            self.collections.setdefault(name, [dict(item) for item in items])
        if "oauth" in self.document:
            self.login = Login(self.document["oauth"])

    @property
    def routes(self) -> list[Route]:
        """The provider's routes."""
        own = [self._route(each) for each in self.document["routes"]]
        return own if self.login is None else [*own, *self.login.routes]

    def _route(self, route: Values) -> Route:
        method, _, path = route["route"].partition(" ")

        async def endpoint(request: Request) -> Response:
            return await self._answered(route, request)

        return Route(path, endpoint, methods=[method])

    async def _answered(self, route: Values, request: Request) -> Response:
        if self.fail_next:
            self.fail_next -= 1
            return JSONResponse({"message": "unavailable"}, 503)
        try:
            self._authenticate(request)
            if route.get("limited", True):
                self._keep_to_limit()
            key = request.headers.get(self.document.get("idempotency", ""))
            if key in self._answers:
                return self._answers[key]
            scope = await self._scope(route, request)
            response = self._played(route, scope, request)
        except _Refusal as refusal:
            return refusal.response
        if key is not None:
            self._answers[key] = response
        return response

    def _authenticate(self, request: Request) -> None:
        auth = self.document["auth"]
        if "path" in auth:
            given = request.path_params.get(auth["path"], "")
        elif "query" in auth:
            given = request.query_params.get(auth["query"], "")
        else:
            whole = request.headers.get(auth["header"], "")
            prefix = next((each for each in auth.get("prefixes", [""]) if whole.startswith(each)), None)
            given = "" if prefix is None else whole.removeprefix(prefix)
        if given not in self.tokens and not (self.login and self.login.accepts(given)):
            raise _refusal(auth["refused"])
        for name, value in self.document.get("headers", {}).items():
            if request.headers.get(name) != value:
                raise _refusal({"status": 400, "body": {"message": f"header {name} must be {value}"}})

    def _keep_to_limit(self) -> None:
        limit, now = self.document.get("limit"), self.monotonic()
        if limit is None:
            return
        self._recent = [at for at in self._recent if at > now - limit["per_s"]]
        if self.refuse_next or len(self._recent) >= limit["calls"]:
            self.refuse_next = max(0, self.refuse_next - 1)
            raise _refusal(limit["refused"])
        self._recent.append(now)

    async def _scope(self, route: Values, request: Request) -> Values:
        query = dict(request.query_params)
        credential = self.document["auth"].get("query")
        query.pop(credential, None)
        _check(route.get("query"), query, self._invalid)
        raw = await request.body()
        body = self._decoded(route, request, raw) if raw else None
        if "body" in route:
            _check(route["body"], body, self._invalid)
        elif raw:
            raise self._invalid("this takes no body")
        return {
            "path": dict(request.path_params),
            "query": query,
            "body": body,
            "page": _page,
            "number": self._numbers + 1,
        }

    def _decoded(self, route: Values, request: Request, raw: bytes) -> Any:
        kind = request.headers.get("content-type", "").partition(";")[0]
        wanted = "application/x-www-form-urlencoded" if route.get("form") else "application/json"
        if kind != wanted:
            raise self._invalid(f"the content type must be {wanted}")
        if route.get("form"):
            return dict(parse_qsl(raw.decode(), keep_blank_values=True))
        try:
            return json.loads(raw)
        except ValueError:
            raise self._invalid("the body is not JSON") from None

    def _played(self, route: Values, scope: Values, request: Request) -> Response:
        headers: dict[str, str] = {}
        if "list" in route:
            headers = self._list(route, scope, request)
        elif "create" in route:
            self._create(route, scope)
        elif "one" in route:
            self._find(route, scope, remove=request.method == "DELETE")
        answer = route.get("respond", {"body": "{{ item }}"})
        body = _evaluated(answer["body"], scope) if "body" in answer else None
        headers |= answer.get("headers", {})
        if isinstance(answer.get("text"), str):
            return Response(_evaluated(answer["text"], scope), answer.get("status", 200), headers)
        if body is None:
            return Response(status_code=answer.get("status", 204), headers=headers)
        return JSONResponse(body, answer.get("status", 200), headers)

    def _list(self, route: Values, scope: Values, request: Request) -> dict[str, str]:
        wanted = route["list"]
        found = [
            item for item in self.collections[wanted["from"]] if _holds(wanted.get("when"), {**scope, "item": item})
        ]
        if "order" in wanted:
            name = wanted["order"].lstrip("-")
            found.sort(key=lambda item: item[name], reverse=wanted["order"].startswith("-"))
        paging = wanted.get("page", {})
        place = scope["body"] or {} if paging.get("in") == "body" else scope["query"]
        size = int(place.get(paging.get("size"), paging.get("default", 1000)))
        start = self._start(found, place.get(paging.get("token")), paging, size)
        items = found[start : start + size]
        more = start + size < len(found)
        scope["items"] = items
        scope["page"] = {"more": more, "next": self._next(items, start, size, paging) if more else None}
        if paging.get("style") != "link" or not more:
            return {}
        url = request.url.include_query_params(**{paging["token"]: start // size + 2})
        return {"link": f'<{url}>; rel="next"'}

    def _start(self, found: list[Values], token: Any, paging: Values, size: int) -> int:
        if token in (None, ""):
            return 0
        if paging["style"] == "link":
            return (int(token) - 1) * size
        if paging["style"] == "after":
            known = [index for index, item in enumerate(found) if str(item["id"]) == token]
            if not known:
                raise self._invalid(f"no such item: {token}")
            return known[0] + 1
        if not str(token).startswith("next-"):
            raise self._invalid("not a cursor of this service")
        return int(str(token).removeprefix("next-"))

    def _next(self, items: list[Values], start: int, size: int, paging: Values) -> str:
        return str(items[-1]["id"]) if paging.get("style") == "after" else f"next-{start + size}"

    def _create(self, route: Values, scope: Values) -> None:
        self._numbers += 1
        made: Values = _evaluated(route["create"]["item"], scope)
        self.collections[route["create"]["into"]].append(made)
        scope["item"] = made
        for each in route["create"].get("hooks", ()):
            self.deliver(each, scope)

    def _find(self, route: Values, scope: Values, *, remove: bool) -> None:
        items = self.collections[route["one"]["of"]]
        found = [item for item in items if _holds(route["one"]["when"], {**scope, "item": item})]
        if not found:
            raise _refusal(self.document["missing"])
        scope["item"] = found[0]
        if remove:
            items.remove(found[0])

    def deliver(self, hook: Values, scope: Values) -> None:
        """Write and sign what each registered webhook would get."""
        for registered in list(self.collections[hook["of"]]):
            names = {**scope, "hook": registered}
            if not _holds(hook.get("when"), names):
                continue
            body = json.dumps(_evaluated(hook["body"], names), ensure_ascii=False).encode()
            headers = {name: str(value) for name, value in _evaluated(hook.get("headers", {}), names).items()}
            if "hmac" in hook:
                signed = hmac.new(_evaluated(hook["hmac"]["secret"], names).encode(), body, hashlib.sha256).hexdigest()
                headers[hook["hmac"]["header"]] = hook["hmac"].get("prefix", "") + signed
            url = _evaluated(hook["url"], names)
            self.deliveries.append(Delivery(url, {"content-type": "application/json", **headers}, body))

    def _invalid(self, message: str) -> "_Refusal":
        invalid = self.document["invalid"]
        return _Refusal(JSONResponse(_evaluated(invalid["body"], {"message": message}), invalid["status"]))


class _Refusal(Exception):
    """A request that the provider does not take, with its answer."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def _refusal(answer: Values) -> _Refusal:
    return _Refusal(JSONResponse(answer.get("body"), answer["status"], answer.get("headers")))


def _check(schema: Values | None, value: Any, invalid: Callable[[str], _Refusal]) -> None:
    """Refuses what the provider's own documentation does not know."""
    whole = {"type": "object", "additionalProperties": False, "properties": {}, **(schema or {})}
    errors = [f"{error.pointer} {error.message}" for error in Check(whole).errors(value if value is not None else {})]
    if errors:
        raise invalid("; ".join(errors))


def _holds(condition: str | None, scope: Mapping[str, Any]) -> bool:
    return condition is None or bool(compile_condition(condition).evaluate(scope))


def _evaluated(value: Any, scope: Mapping[str, Any]) -> Any:
    found = compile_value(value).evaluate(scope)
    return None if found is OMIT else found
