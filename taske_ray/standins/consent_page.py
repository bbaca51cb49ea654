"""The pages of a played login, and its way back to the client."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, RedirectResponse, Response


def consent_page(document: Mapping[str, Any], scopes: Iterable[str], ticket: str) -> Response:
    """Whether somebody allows it."""
    wanted = "".join(f"<li>{escape(one)}</li>" for one in scopes)
    return _page(
        f"{document['name']} (a stand-in)",
        f"<p>Taske asks for access to the account <b>{escape(document['account'])}</b>:</p><ul>{wanted}</ul>"
        f'<form method="post"><input type="hidden" name="ticket" value="{escape(ticket)}">'
        '<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></form>'
        "<p><small>Nobody outside this machine is asked: this page belongs to the demo.</small></p>",
    )


def told(text: str) -> Response:
    """What is wrong with a request that must not be sent back to anybody."""
    return _page("Not possible", f"<p>{escape(text)}</p>", 400)


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>:root{{color-scheme:light dark}}'
        "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:32rem;padding:10vh 1rem}"
        f"button{{font:inherit;padding:.4rem 1rem}}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>",
        status,
    )


def sent(redirect_uri: str, params: Mapping[str, str | None]) -> Response:
    """Back to the client."""
    query = urlencode({name: value for name, value in params.items() if value is not None})
    return RedirectResponse(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}", 303)
