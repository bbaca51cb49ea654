"""The cookie that tells one browser from all others while it visits a provider (security, 7.2)."""

from starlette.requests import Request
from starlette.responses import Response

_name = "taske_browser"
_lives_s = 600


def browser_of(request: Request, *, secure: bool) -> str | None:
    """The value that this browser was given, if it still has one."""
    return request.cookies.get(_cookie(secure=secure))


def remember_browser(response: Response, browser: str, *, secure: bool) -> None:
    """Give the browser its value for the length of a visit; it comes back with the redirect from the provider.

    `Lax`, because that redirect is a navigation from elsewhere; `__Host-`, so that no neighbour under our domain can
    plant one.
    """
    response.set_cookie(
        _cookie(secure=secure), browser, max_age=_lives_s, path="/", secure=secure, httponly=True, samesite="lax"
    )


def _cookie(*, secure: bool) -> str:
    return f"__Host-{_name}" if secure else _name
