"""The way into a route, in this order: who is it, may they, read the body, was this answered before; then the route.

Every route names its permission with `needs(…)`; one that does not cannot be built.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from deployments.shared.bodies import parse_json, require_json
from deployments.shared.intake import Intake
from taske_ray.errors import Invalid, NotFound, Unauthenticated
from taske_ray.services.authentication import Authentication
from taske_ray.services.idempotency import Answer, Idempotency
from taske_ray.services.principal import Principal, confine
from taske_ray.services.trail import acting

Permission = Literal["public", "read", "write", "session", "recent", "operator", "admin"]
Route = Callable[[Request], Coroutine[Any, Any, Response]]
_kept_headers = ("etag", "location")


def needs(permission: Permission, *, one_task: bool = False, password_due: bool = False) -> dict[str, Any]:
    """The `openapi_extra` that names a route's permission; who else may, too, is as in `Principal.require`."""
    marks = {"x-one-task": one_task, "x-password-due": password_due}
    return {"x-permission": permission} | {name: True for name, marked in marks.items() if marked}


@dataclass(frozen=True, slots=True)
class Gate:
    """What an app's routes are guarded with."""

    authentication: Authentication
    idempotency: Idempotency | None = None
    intake: Intake = field(default_factory=Intake)

    async def admit(self, request: Request, permission: Permission, route: Route, **marks: bool) -> Response:
        """Answer one request; `marks` as in `needs`. Raises what refuses it."""
        _refuse_nul(request)
        principal = None
        if permission != "public":
            principal = await self.authentication.authenticate(request.headers.get("authorization"))
            principal.require(permission, **marks)
        request.state.principal = principal
        confine(principal)
        acting(principal, request.client.host if request.client else None)
        if request.method == "GET":
            return await route(request)
        async with self.intake.body(request) as body:
            request._body = body  # noqa: SLF001 - what the framework reads next, already counted
            if body:
                require_json(request)
                request._json = parse_json(body)  # noqa: SLF001 - parsed once, strictly
            key = request.headers.get("idempotency-key") if request.method == "POST" else None
            if key is None or self.idempotency is None:
                return await route(request)
            owner = principal.user_id if principal else None
            return await self._once(key, owner, body, request, route)

    async def _once(self, key: str, owner: Any, body: bytes, request: Request, route: Route) -> Response:
        assert self.idempotency is not None

        async def work() -> Answer:
            response = await route(request)
            headers = {name: response.headers[name] for name in _kept_headers if name in response.headers}
            return Answer(response.status_code, bytes(response.body).decode(), headers)

        # without a known caller the cookie says whose answer it is: nobody gets another one's by its key
        whose = b"" if owner else request.headers.get("cookie", "").encode()
        equal = b"\0".join((request.method.encode(), request.scope["path"].encode(), whose, body))
        found, replayed = await self.idempotency.once(key, owner=owner, request=equal, work=work)
        headers = found.headers | ({"idempotency-replayed": "true"} if replayed else {})
        media = "application/json" if found.body else None
        return Response(found.body or None, found.status, headers, media_type=media)


class GatedRoute(APIRoute):
    """A route behind the app's gate."""

    def get_route_handler(self) -> Route:
        """The framework's own way of answering, with the gate before it."""
        route = super().get_route_handler()
        extra = self.openapi_extra or {}
        permission: Permission | None = extra.get("x-permission")
        if permission is None:
            raise RuntimeError(f"the route {self.path} names no permission: openapi_extra=needs(…)")
        marks = {"one_task": "x-one-task" in extra, "password_due": "x-password-due" in extra}

        async def through_the_gate(request: Request) -> Response:
            gate: Gate = request.app.state.gate
            return await gate.admit(request, permission, route, **marks)

        return through_the_gate


def _refuse_nul(request: Request) -> None:
    """No text of ours holds NUL, and the database takes none: such an id is unknown, such a parameter wrong."""
    if "\x00" in request.scope["path"]:
        raise NotFound
    if b"%00" in request.scope["query_string"]:
        name = next((name for name, value in request.query_params.multi_items() if "\x00" in name + value), "")
        raise Invalid.at(f"?{name.replace(chr(0), '')}", "bad_text", "Text must not contain the character NUL")


async def _caller(request: Request) -> Principal:
    principal: Principal | None = request.state.principal
    if principal is None:
        raise Unauthenticated
    return principal


Caller = Annotated[Principal, Depends(_caller)]
"""The principal of a request that passed the gate."""
