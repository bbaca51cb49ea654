"""Registering a webhook at a service: what is sent, what is kept, what nobody may see."""

import json

import pytest

from taske_ray.catalog.registry import load_modules
from taske_ray.core.capability import CallContext, ConnectionValues, parse_module
from taske_ray.core.capability.exchange.subscription import (
    Gone,
    Subscribed,
    check,
    find_existing,
    renew,
    subscribe,
    unsubscribe,
)
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed

URL = "https://taske.example/hooks/t0ken"
PAT = ConnectionValues("pat", {}, {"token": "ghp_0123456789"})
EVENT = load_modules()["github"].capabilities["github.repo.event"]
PARAMS = {"owner": "o", "repo": "r", "events": ["issues"]}
GITHUB = CallContext(params=PARAMS, now="2026-01-05T00:00:00Z", connection=PAT)
RENEWED = {
    "module": "drive",
    "name": "Drive",
    "base_url": "https://drive.example",
    "auth": [{"id": "token", "type": "bearer"}],
    "capabilities": [
        {
            "capability": "drive.changed",
            "kind": "trigger",
            "name": "Changed",
            "webhook": {
                "mode": "subscribe",
                "subscribe": {
                    "request": {"method": "POST", "path": "/watch", "body": {"address": "{{ hook.url }}"}},
                    "success": "response.body.ok",
                    "save": {"id": "{{ response.body.id }}"},
                },
                "renew": {
                    "expires_at": "{{ response.body.until }}",
                    "request": {
                        "method": "PATCH",
                        "path": "/watch/{id}",
                        "path_params": {"id": "{{ hook.state.id }}"},
                    },
                },
                "verify": [],
            },
        }
    ],
}
CHANGED = parse_module(RENEWED).capabilities["drive.changed"]
DRIVE = CallContext(params={}, now="2026-01-05T00:00:00Z", connection=ConnectionValues("token", {}, {"token": "abcd"}))


def answered(talk, status=200, body=None, headers=None):
    """(the one request of a conversation, what came of this answer)."""
    request = next(talk)
    content = b"" if body is None else json.dumps(body).encode()
    response = HttpResponse(status, {"content-type": "application/json", **(headers or {})}, content, request.url)
    with pytest.raises(StopIteration) as stop:
        talk.send(response)
    return request, stop.value.value


def test_a_subscription_is_registered_and_kept():
    """The address and the generated secret go to the service with the module's own headers; both are kept."""
    request, found = answered(subscribe(EVENT, GITHUB, url=URL, generated={"secret": "s" * 64}), 201, {"id": 42})
    sent = json.loads(request.body)
    assert (request.method, request.url) == ("POST", "https://api.github.com/repos/o/r/hooks")
    assert sent["config"] == {"url": URL, "content_type": "json", "secret": "s" * 64, "insecure_ssl": "0"}
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["authorization"] == "Bearer ghp_0123456789"
    assert found == Subscribed({"hook_id": 42, "secret": "s" * 64})
    assert "s" * 64 not in str(request.shown)
    assert "ghp_0123456789" not in str(request.shown)
    assert "s" * 64 not in repr(found)


def test_a_refusal_is_classified_and_tells_no_secret():
    """The module's error rules decide, and what the service sends back is masked."""
    echo = {"message": "no right; got " + "s" * 64}
    _, found = answered(subscribe(EVENT, GITHUB, url=URL, generated={"secret": "s" * 64}), 403, echo)
    assert isinstance(found, Failed)
    assert found.error_class is ErrorClass.PERMISSION
    assert "s" * 64 not in found.message


def test_an_answer_that_is_no_success_subscribes_nothing():
    """The document's own condition counts, not the status alone."""
    _, found = answered(subscribe(CHANGED, DRIVE, url=URL, generated={}), 200, {"ok": False})
    assert isinstance(found, Failed)


def test_a_check_finds_out_that_it_is_gone():
    """404 is Gone; 200 keeps the state; anything else is a failure that decides nothing."""
    state = {"hook_id": 42, "secret": "s" * 64}
    request, found = answered(check(EVENT, GITHUB, url=URL, state=state), 200, {"id": 42})
    assert (request.method, request.url) == ("GET", "https://api.github.com/repos/o/r/hooks/42")
    assert found == Subscribed(state)
    assert answered(check(EVENT, GITHUB, url=URL, state=state), 404)[1] == Gone()
    assert isinstance(answered(check(EVENT, GITHUB, url=URL, state=state), 502)[1], Failed)


def test_an_end_is_an_end_also_when_it_was_gone():
    """204 and 404 both end a subscription; a token that is not accepted does not."""
    state = {"hook_id": 42, "secret": "s" * 64}
    request, found = answered(unsubscribe(EVENT, GITHUB, url=URL, state=state), 204)
    assert (request.method, request.url, found) == ("DELETE", "https://api.github.com/repos/o/r/hooks/42", Gone())
    assert answered(unsubscribe(EVENT, GITHUB, url=URL, state=state), 404)[1] == Gone()
    _, refused = answered(unsubscribe(EVENT, GITHUB, url=URL, state=state), 401)
    assert refused.error_class is ErrorClass.AUTH_EXPIRED


def test_a_subscription_that_expires_is_prolonged():
    """When it ends is read at the beginning and again from each renewal."""
    answer = {"ok": True, "id": "w1", "until": "2026-01-06T00:00:00Z"}
    _, begun = answered(subscribe(CHANGED, DRIVE, url=URL, generated={}), 200, answer)
    assert begun == Subscribed({"id": "w1"}, "2026-01-06T00:00:00Z")
    request, found = answered(renew(CHANGED, DRIVE, url=URL, state=begun.state), 200, {"until": "2026-01-07T00:00:00Z"})
    assert (request.method, request.url) == ("PATCH", "https://drive.example/watch/w1")
    assert found == Subscribed({"id": "w1"}, "2026-01-07T00:00:00Z")


def test_a_literal_address_outside_the_hosts_is_refused_at_load():
    """The requests of a webhook are bound to the module's hosts like any other."""
    block = {**RENEWED["capabilities"][0]["webhook"]}
    block["unsubscribe"] = {"request": {"method": "DELETE", "url": "https://evil.example/x"}}
    document = RENEWED | {"capabilities": [RENEWED["capabilities"][0] | {"webhook": block}]}
    with pytest.raises(Exception, match="not valid") as refused:
        parse_module(document)
    assert [error.code for error in refused.value.errors] == ["host_not_allowed"]


def test_what_is_not_kept_must_be_ended():
    """A document that ends what it finds has to say how."""
    block = {**RENEWED["capabilities"][0]["webhook"]}
    block["existing"] = {"request": {"path": "/watch"}, "items": "{{ response.body }}", "match": True, "keep": False}
    document = RENEWED | {"capabilities": [RENEWED["capabilities"][0] | {"webhook": block}]}
    with pytest.raises(Exception, match="not valid") as refused:
        parse_module(document)
    assert [(error.pointer, error.code) for error in refused.value.errors] == [
        ("/capabilities/0/webhook/unsubscribe", "missing")
    ]


def test_a_registration_that_is_there_is_found():
    """The item of the list is read as the answer would have been; another address is nothing of ours."""
    listed = [{"id": 1, "config": {"url": "https://x.example"}}, {"id": 2, "config": {"url": URL}}]
    request, found = answered(find_existing(EVENT, GITHUB, url=URL, generated={"secret": "s" * 64}), 200, listed)
    assert (request.method, request.url) == ("GET", "https://api.github.com/repos/o/r/hooks?per_page=100")
    assert found == Subscribed({"hook_id": 2, "secret": "s" * 64})
    assert answered(find_existing(EVENT, GITHUB, url=URL, generated={"secret": "s"}), 200, listed[:1])[1] == Gone()
