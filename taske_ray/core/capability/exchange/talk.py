"""What the requests of one conversation share: scopes, route, redaction, and what was sent last."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from taske_ray.core.capability.document.auth import AuthScheme
from taske_ray.core.capability.document.response import ResponseSpec
from taske_ray.core.capability.exchange.build import Prepared, Route, route, write
from taske_ray.core.capability.exchange.context import CallContext
from taske_ray.core.capability.exchange.decode import view
from taske_ray.core.capability.exchange.pages import Page
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.module import Module
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.redaction import Redactor
from taske_ray.errors import TemplateError

Exchange = Generator[HttpRequest, HttpResponse, HttpResponse]


class Talk:
    """What the requests of one conversation share: scopes, route, and what was sent last."""

    def __init__(self, module: Module, context: CallContext, what: str, secrets: Sequence[Any] = ()) -> None:
        """`secrets` are values besides the connection's own that nobody may see."""
        self.module = module
        self.context = context
        self.what = what
        self.sent: dict[str, Any] | None = None
        self.pre: dict[str, Any] = {}
        connection = context.connection
        self.conn = {
            "config": dict(connection.config) if connection is not None else {},
            "secret": dict(connection.secret) if connection is not None else {},
        }
        self._secrets = secrets
        self._route: Route | None = None

    @property
    def route(self) -> Route:
        """Where requests may go; found once, because it may refuse."""
        if self._route is None:
            found = route(self.module, self.scheme, self.conn)
            hidden = [*self.conn["secret"].values(), *self._secrets]
            self._route = replace(found, redactor=Redactor(hidden)) if self._secrets else found
        return self._route

    @property
    def scheme(self) -> AuthScheme | None:
        """The scheme of the connection; None without one, or where it is of type `none`."""
        connection = self.context.connection
        if connection is None:
            return None
        if connection.auth_id not in self.module.auth:
            raise Refusal("unknown_auth", f"the module has no auth scheme '{connection.auth_id}' any more")
        return self.module.auth[connection.auth_id]

    def scope(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The names that a request may read, secrets among them."""
        return {
            "params": params,
            "conn": self.conn,
            "pre": self.pre,
            "now": self.context.now,
            "run": {"id": self.context.run_id, "step": self.context.step},
            "cursor": self.context.cursor or {"from": None, "value": None},
            "app": {},
        }

    def exchange(self, prepared: Prepared, max_bytes: int) -> Exchange:
        """Yields a request and returns its response."""
        return (yield from self.ask(self.written(prepared, max_bytes)))

    def written(self, prepared: Prepared, max_bytes: int) -> HttpRequest:
        """The request in bytes, checked, for this conversation's route."""
        return write(prepared, self.route, max_bytes)

    def ask(self, request: HttpRequest) -> Exchange:
        """Yields a request that is written already and returns its response."""
        self.sent = request.shown
        return (yield request)

    def judged(self, failed: Failed) -> Failed:
        """A failure with the request that it answers."""
        return replace(failed, request=self.sent)

    def refused(self, error: TemplateError | Refusal | RecursionError) -> Failed:
        """The engine's own refusal; `sent` says whether anything had left by then."""
        if isinstance(error, RecursionError):
            error = Refusal("template_limit", "a value is nested too deep")
        error_class = error.error_class if isinstance(error, Refusal) else ErrorClass.FATAL
        secrets = self._route.redactor.text if self._route is not None else str
        return Failed(error_class, error.code, secrets(error.message), sent=self.sent is not None, request=self.sent)


def public(scope: Mapping[str, Any]) -> dict[str, Any]:
    """The same names, secrets out of reach: for everything that reads answers."""
    return {**scope, "conn": {"config": scope["conn"]["config"]}}


def seen_by(
    talk: Talk, response: HttpResponse, spec: ResponseSpec, scope: Mapping[str, Any], page: Page
) -> dict[str, Any]:
    """The names that what reads this answer may use."""
    decode = spec.decode or talk.module.defaults.decode
    return {**public(scope), "response": view(response, decode), "page": page.scope()}
