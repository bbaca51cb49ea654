"""The few pages that a browser sees when it comes back from a provider. Everything in them is escaped text."""

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer; programs get JSON."""
    return "text/html" in request.headers.get("accept", "")


def page(title: str, text: str, *, status: int = 200, more: str = "") -> Response:
    """A page with one sentence; `more` is HTML of ours."""
    return HTMLResponse(
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>Taske on Ray: {escape(title)}</title><link rel="stylesheet" href="/static/docs.css"></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p>{more}</body></html>\n",
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


def onward(path: str, connection: str) -> Response:
    """To where the user was on the way to."""
    return RedirectResponse(f"{path}{'&' if '?' in path else '?'}connection={connection}", 303)
