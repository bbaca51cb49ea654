"""Conversations with a token endpoint, played without a network."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from taske_ray.core.capability.tokens import OAuthClient
from taske_ray.core.http import HttpResponse

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN_URL = "https://login.shop.example/token"
APP = OAuthClient("our-app", "app-s3cret/+ü")
LOGIN = {"code": "the-code-1234", "verifier": "v" * 43, "redirect_uri": "https://taske.example/callback"}


def played(flow, *answers):
    """(requests, result) of a conversation with these answers."""
    requests, waiting = [], list(answers)
    try:
        requests.append(next(flow))
        while waiting:
            requests.append(flow.send(_response(waiting.pop(0))))
    except StopIteration as end:
        assert not waiting, "more answers than requests"
        return requests, end.value
    raise AssertionError("one request more than answers")


def _response(given):
    if isinstance(given, HttpResponse):
        return given
    status, body = given if isinstance(given, tuple) else (200, given)
    return HttpResponse(status, {"content-type": "application/json"}, json.dumps(body).encode())


def form(request):
    """The parameters of a form."""
    return dict(parse_qsl(request.body.decode()))


def never(*_):
    """Nothing is to be signed."""
    raise AssertionError
