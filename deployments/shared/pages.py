"""The few pages that an app makes itself: back from a provider, and refusals. All that they say is escaped text."""

from collections.abc import Mapping
from html import escape
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer; programs get JSON."""
    return "text/html" in request.headers.get("accept", "")


def page(title: str, text: str, *, status: int = 200, more: str = "") -> Response:
    """A page with one sentence; `more` is HTML of ours."""
    return HTMLResponse(
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Taske on Ray: {escape(title)}</title>"
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/docs.css"></head>'
        f'<body class="alone"><h1>{escape(title)}</h1><p>{escape(text)}</p>{more}</body></html>\n',
        status,
    )


def question(title: str, text: str, button: str, values: Mapping[str, str | None]) -> Response:
    """A page with a button that comes back here with the same values, and `confirmed`."""
    inputs = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in {**values, "confirmed": "true"}.items()
        if value is not None
    )
    return page(title, text, more=f'<form method="get">{inputs}<button>{escape(button)}</button></form>')


def refusal_page(problem: Response) -> Response:
    """A problem for whoever opened an address of ours in a browser, with what to name when asking about it."""
    said = orjson.loads(problem.body)
    small = f"{said['status']} {said['code']}, request {said['request_id']}"
    more = f'<p><a href="/docs">The HTTP API of this service</a></p><p class="small">{escape(small)}</p>'
    shown = page(HTTPStatus(problem.status_code).phrase, said["detail"], status=problem.status_code, more=more)
    kept = {name: value for name, value in problem.headers.items() if not name.startswith("content-")}
    shown.headers.update(kept)
    return shown


def onward(path: str, connection: str) -> Response:
    """To where the user was on the way to."""
    return RedirectResponse(f"{path}{'&' if '?' in path else '?'}connection={connection}", 303)
