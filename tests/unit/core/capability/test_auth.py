"""Auth schemes: what is put on a request, what is shown of it, and which hosts may see it."""

from collections.abc import Callable
from typing import Any

import pytest

from taske_ray.core.capability import Capability, ConnectionValues, connection_test, parse_module
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded
from taske_ray.core.redaction import MASK
from taske_ray.errors import Invalid

Make = Callable[..., Capability]
Play = Callable[..., Any]
_key = {"type": "object", "required": ["key"], "properties": {"key": {"type": "string", "x-secret": True}}}


def _scheme(**fields: Any) -> dict[str, Any]:
    return {"auth": [{"id": "token", "type": "api_key", "fields": _key, **fields}]}


def test_bearer(capability: Make, talk: Play) -> None:
    """A bearer token goes into the header, is masked in what is shown, and needs its own hosts."""
    request = talk(capability(), params={"name": "x"}, connection={"token": "s3cret"}).request
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.credentialed
    assert request.shown == {
        "method": "POST",
        "url": "https://api.shop.example/v1/items",
        "headers": {"authorization": MASK},
        "body": {"name": "x"},
    }


@pytest.mark.parametrize(
    ("apply", "url", "headers", "body", "shown_url"),
    [
        ({"headers": {"X-Key": "k {{ conn.secret.key }}"}}, "/items", {"x-key": "k 5ecret"}, b'{"name":"x"}', "/items"),
        (
            {"query": {"k": "{{ conn.secret.key }}"}},
            "/items?k=5ecret",
            {},
            b'{"name":"x"}',
            f"/items?k={MASK}",
        ),
        ({"body": {"k": "{{ conn.secret.key }}"}}, "/items", {}, b'{"name":"x","k":"5ecret"}', "/items"),
        ({"path_prefix": "/bot{{ conn.secret.key }}"}, "/bot5ecret/items", {}, b'{"name":"x"}', f"/{MASK}/items"),
    ],
)
def test_where_a_key_goes(
    capability: Make, talk: Play, apply: Any, url: str, headers: Any, body: bytes, shown_url: str
) -> None:
    """A scheme can add headers, query, body members and a path prefix, each masked where it is shown."""
    request = talk(capability(module=_scheme(apply=apply)), params={"name": "x"}, connection={"key": "5ecret"}).request
    assert request.url == f"https://api.shop.example/v1{url}"
    assert {name: request.headers.get(name) for name in headers} == headers
    assert request.body == body
    assert request.shown["url"] == f"https://api.shop.example/v1{shown_url}"
    assert "5ecret" not in str(request.shown)


def test_a_secret_is_masked_wherever_it_turns_up(capability: Make, talk: Play) -> None:
    """A secret that a user repeats in a parameter is masked by its value in what is shown and in error texts."""
    found = talk(
        capability(),
        HttpResponse(400, {"content-type": "application/json"}, b'{"message":"bad s3cret!"}'),
        params={"name": "my s3cret"},
        connection={"token": "s3cret"},
    )
    assert found.request.shown["body"] == {"name": f"my {MASK}"}
    assert found.outcome.message == f"bad {MASK}!"
    assert found.outcome.request == found.request.shown


def test_a_secret_url(capability: Make, talk: Play) -> None:
    """A URL that is itself the secret is sent as it is and shown as a mask."""
    one = capability(module=_scheme(apply={}), request={"method": "POST", "url": "{{ conn.secret.key }}"})
    request = talk(one, params={"name": "x"}, connection={"key": "https://api.shop.example/hook/5ecret"}).request
    assert request.url == "https://api.shop.example/hook/5ecret"
    assert request.shown["url"] == MASK


def test_a_connection_goes_only_to_its_own_hosts(capability: Make, talk: Play) -> None:
    """With hosts of its own a credential leaves the module's list behind; `*` from a user is no host."""
    hosts = {"hosts": {"type": "array", "items": {"type": "string"}}}
    module = {
        "allowed_hosts": ["*"],
        **_scheme(
            fields={"type": "object", "properties": {**_key["properties"], **hosts}},
            apply={"headers": {"k": "{{ conn.secret.key }}"}},
            allowed_hosts="{{ conn.config.hosts }}",
        ),
    }
    one = capability(module=module)

    def play(*names: str) -> Any:
        connection = ConnectionValues("token", {"hosts": list(names)}, {"key": "5ecret"})
        return talk(one, params={"name": "x"}, connection=connection)

    assert play("api.shop.example").request.allowed_hosts == ("api.shop.example",)
    assert play("other.example").outcome.code == "host_not_allowed"
    assert play("*").outcome.code == "unbound_secret"
    assert play("not a host").outcome.code == "bad_host"


def test_no_connection_where_one_is_needed(capability: Make, talk: Play) -> None:
    """A capability whose schemes all need a connection is `permission` without one; nothing is sent."""
    outcome = talk(capability(auth=["token"]), params={"name": "x"}).outcome
    assert (outcome.error_class, outcome.code, outcome.sent) == (ErrorClass.PERMISSION, "connection_required", False)


def test_a_scheme_that_is_gone(capability: Make, talk: Play) -> None:
    """A connection whose scheme the module no longer has is refused."""
    outcome = talk(capability(), params={"name": "x"}, connection=ConnectionValues("old", {}, {})).outcome
    assert outcome.code == "unknown_auth"


def test_fields_are_split_into_config_and_secret(document: dict[str, Any]) -> None:
    """What is marked secret is kept apart from the rest; unknown and missing fields are errors."""
    document["auth"].append({"id": "basic", "type": "basic"})
    scheme = parse_module(document).auth["basic"]
    assert scheme.split({"username": "ali", "password": "p"}) == ({"username": "ali"}, {"password": "p"})
    with pytest.raises(Invalid) as caught:
        scheme.split({"username": "ali", "hosts": []})
    found = {(error.pointer, error.code) for error in caught.value.errors}
    assert found == {("/password", "missing"), ("/hosts", "unknown_field")}


def test_basic_encodes_unicode(document: dict[str, Any], talk: Play) -> None:
    """Basic credentials are the base64 of user and password in UTF-8."""
    document["auth"].append({"id": "basic", "type": "basic"})
    one = parse_module(document).capabilities["shop.item.create"]
    connection = ConnectionValues("basic", {"username": "ali"}, {"password": "pä:ss"})
    assert (
        talk(one, params={"name": "x"}, connection=connection).request.headers["authorization"]
        == "Basic YWxpOnDDpDpzcw=="
    )


def _ask(document: dict[str, Any], response: HttpResponse | None) -> tuple[Any, Any]:
    conversation = connection_test(parse_module(document), ConnectionValues("token", {}, {"token": "s3cret"}))
    request = None
    try:
        request = next(conversation)
        conversation.send(response)
    except StopIteration as stop:
        return request, stop.value
    raise AssertionError("more requests than one")


def test_a_connection_is_tested(document: dict[str, Any]) -> None:
    """The test request decides whether a connection works, and its answer names it."""
    document["auth"][1]["label"] = "{{ response.body.name }} (s3cret)"
    answer = HttpResponse(200, {"content-type": "application/json"}, b'{"name":"Ali"}')
    request, outcome = _ask(document, answer)
    assert (request.url, request.headers["authorization"]) == ("https://api.shop.example/v1/me", "Bearer s3cret")
    assert isinstance(outcome, Succeeded)
    assert outcome.output == {"label": f"Ali ({MASK})"}


def test_a_connection_that_does_not_work(document: dict[str, Any]) -> None:
    """The module's error rules judge the test's answer too."""
    document["errors"] = [{"when": "response.body.ok == false", "class": "auth_revoked"}]
    answer = HttpResponse(200, {"content-type": "application/json"}, b'{"ok":false,"error":"s3cret revoked"}')
    outcome = _ask(document, answer)[1]
    assert isinstance(outcome, Failed)
    assert (outcome.error_class, outcome.message) == (ErrorClass.AUTH_REVOKED, f"{MASK} revoked")


def test_a_scheme_without_a_test(document: dict[str, Any]) -> None:
    """Without a test request there is nothing to ask, and no label."""
    del document["auth"][1]["test"]
    assert _ask(document, None) == (None, Succeeded({"label": None}))


@pytest.mark.parametrize("kind", ["oauth2_code", "token_request", "jwt_bearer"])
def test_schemes_made_by_a_conversation(document: dict[str, Any], kind: str) -> None:
    """OAuth, token requests and JWTs are validated and send `access_token`; only a consent needs more than fields."""
    urls = {"authorize_url": "https://api.shop.example/a", "token_url": "https://api.shop.example/t"}
    document["auth"][1] = {
        "id": "token",
        "type": kind,
        "fields": _key,
        "oauth": {**urls, "save": {"team": "{{ response.body.team }}"}, "refresh": {"skew_s": 60}},
        "token": {
            "request": {"path": "/login", "body": {"k": "{{ conn.secret.key }}"}},
            "access": "{{ response.body.t }}",
        },
        "jwt": {"key": "{{ conn.secret.key }}", "claims": {"iss": "me"}},
    }
    scheme = parse_module(document).auth["token"]
    assert scheme.can_be_made == (kind != "oauth2_code")
    assert scheme.has_secret
    scope = {"conn": {"secret": {"access_token": "t"}}}
    assert scheme.apply.headers is not None
    assert scheme.apply.headers.evaluate(scope) == {"authorization": "Bearer t"}
