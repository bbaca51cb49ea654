"""Slack's Web API, as far as posting, listing channels and testing a token go (docs.slack.dev/reference/methods).

Failures are 200 with `ok: false`, except for too many messages: 429 with Retry-After.
"""

import base64
import binascii
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from taske_ray.standins.consent import Login
from taske_ray.standins.world import Channel, Slack

_default_limit, _largest_limit = 100, 1000
_longest_text = 40_000
Params = dict[str, Any]


class _Refusal(Exception):
    """An error of Slack's by its name."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def routes(slack: Slack, login: Login | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> list[Route]:
    """The methods that are played."""
    pace = _Pace(slack, monotonic)

    async def post_message(request: Request) -> Response:
        return await _answered(slack, login, request, lambda params: _post(slack, params), pace)

    async def auth_test(request: Request) -> Response:
        return await _answered(slack, login, request, lambda _: _identity(slack))

    async def conversations_list(request: Request) -> Response:
        return await _answered(slack, login, request, lambda params: _channels(slack, params))

    return [
        Route("/api/chat.postMessage", post_message, methods=["POST"]),
        Route("/api/auth.test", auth_test, methods=["GET", "POST"]),
        Route("/api/conversations.list", conversations_list, methods=["GET", "POST"]),
    ]


class _Pace:
    """One message per second and channel."""

    def __init__(self, slack: Slack, monotonic: Callable[[], float]) -> None:
        self._slack = slack
        self._monotonic = monotonic
        self._last: dict[str, float] = {}

    def wait_s(self, params: Params) -> float:
        """How long until the channel takes another message; taking the place if that is now."""
        channel, now = str(params.get("channel")), self._monotonic()
        wait = self._last.get(channel, -math.inf) + self._slack.per_channel_s - now
        if wait <= 0:
            self._last[channel] = now
        return wait


async def _answered(
    slack: Slack,
    login: Login | None,
    request: Request,
    answer: Callable[[Params], Params],
    pace: _Pace | None = None,
) -> Response:
    if slack.fail_next:
        slack.fail_next -= 1
        return JSONResponse({"ok": False, "error": "service_unavailable"}, 503)
    try:
        params = await _params(request)
        _check_token(slack, login, request, params)
        if pace is not None and (wait_s := pace.wait_s(params)) > 0:
            headers = {"Retry-After": str(math.ceil(wait_s))}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers)
        return JSONResponse({"ok": True, **answer(params)})
    except _Refusal as refusal:
        return JSONResponse({"ok": False, "error": refusal.error})


async def _params(request: Request) -> Params:
    """Arguments come in the query, as a form or as JSON."""
    params: Params = dict(request.query_params)
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "application/json":
        try:
            given = json.loads(body)
        except ValueError:
            raise _Refusal("invalid_json") from None
        if not isinstance(given, dict):
            raise _Refusal("json_not_object")
        return params | given
    return params | dict(parse_qsl(body.decode("utf-8", "replace")))


def _check_token(slack: Slack, login: Login | None, request: Request, params: Mapping[str, Any]) -> None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    token = token if kind.lower() == "bearer" else str(params.get("token", ""))
    if not token:
        raise _Refusal("not_authed")
    if token not in slack.tokens and not (login is not None and login.accepts(token)):
        raise _Refusal("invalid_auth")
    if login is not None and not login.allows(token, request.url.path):
        raise _Refusal("missing_scope")


def _post(slack: Slack, params: Params) -> Params:
    channel = _channel(slack, params.get("channel"))
    text = params.get("text")
    if not text and not params.get("blocks") and not params.get("attachments"):
        raise _Refusal("no_text")
    if isinstance(text, str) and len(text) > _longest_text:
        raise _Refusal("msg_too_long")
    thread = params.get("thread_ts")
    if thread and not any(message["ts"] == thread for message in slack.messages):
        raise _Refusal("thread_not_found")
    message = {"type": "message", "text": text or "", "user": "U0BOT", "bot_id": "B0BOT", "ts": _stamp(slack)}
    message |= {name: params[name] for name in ("blocks", "thread_ts") if params.get(name)}
    slack.messages.append({**message, "channel": channel.id})
    return {"channel": channel.id, "ts": message["ts"], "message": message}


def _channel(slack: Slack, wanted: Any) -> Channel:
    name = str(wanted or "").removeprefix("#")
    found = next((channel for channel in slack.channels if name in (channel.id, channel.name)), None)
    if found is None:
        raise _Refusal("channel_not_found")
    if found.archived:
        raise _Refusal("is_archived")
    if not found.joined:
        raise _Refusal("not_in_channel")
    return found


def _stamp(slack: Slack) -> str:
    """A message's id: seconds and a number that makes it unique, rising."""
    return f"{int(time.time())}.{len(slack.messages) + 1:06}"


def _identity(slack: Slack) -> Params:
    return {
        "url": "https://example.slack.com/",
        "team": slack.team,
        "user": "taske",
        "team_id": "T0DEMO",
        "user_id": "U0BOT",
        "bot_id": "B0BOT",
    }


def _channels(slack: Slack, params: Params) -> Params:
    limit, start = _limit(params.get("limit")), _start(params.get("cursor"))
    hidden = str(params.get("exclude_archived", "")).lower() in ("true", "1")
    channels = [channel for channel in slack.channels if not (hidden and channel.archived)]
    page = channels[start : start + limit]
    following = base64.b64encode(f"next:{start + limit}".encode()).decode() if start + limit < len(channels) else ""
    return {"channels": [_described(channel) for channel in page], "response_metadata": {"next_cursor": following}}


def _described(channel: Channel) -> Params:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": True,
        "is_archived": channel.archived,
        "is_member": channel.joined,
        "is_private": False,
    }


def _limit(value: Any) -> int:
    text = str(value or _default_limit)
    if not text.isdecimal() or not 1 <= int(text) <= _largest_limit:
        raise _Refusal("invalid_limit")
    return int(text)


def _start(cursor: Any) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(str(cursor), validate=True).decode().removeprefix("next:"))
    except (binascii.Error, ValueError):
        raise _Refusal("invalid_cursor") from None
