"""Documents: every rule of the format's tables has its pointer and code."""

from collections.abc import Callable
from typing import Any

import pytest

from taske_ray.core.capability import canonical_hash, parse_module
from taske_ray.errors import Invalid

Errors = Callable[[Any], set[tuple[str, str]]]
_first = "/capabilities/0"


def _put(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Sets a value at a pointer; objects and elements on the way must be there."""
    *path, last = pointer.strip("/").split("/")
    place: Any = document
    for key in path:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last] = value


def test_a_valid_document_is_read_whole(document: dict[str, Any]) -> None:
    """A minimal module has its labels, its schemes, its capability, and the host of its base URL."""
    module = parse_module(document)
    assert (module.id, module.name) == ("shop", {"en": "Shop", "ko": "가게"})
    assert list(module.auth) == ["none", "token"]
    assert [host.evaluate({}) for host in module.allowed_hosts] == ["api.shop.example"]
    capability = module.capabilities["shop.item.create"]
    assert (capability.kind, capability.execution, capability.needs_connection) == ("action", "http", False)
    assert module.enabled
    assert module.capabilities["shop.item.create"].module is module


def test_every_error_of_a_document_is_reported_at_once(document: dict[str, Any]) -> None:
    """Errors in different corners of a document come together, sorted by pointer."""
    document["surprise"] = 1
    document["module"] = "Shop!"
    document["capabilities"][0]["kind"] = "wish"
    document["capabilities"][0]["request"]["body"] = "{{ params.nmae }}"
    with pytest.raises(Invalid) as caught:
        parse_module(document)
    found = [(error.pointer, error.code) for error in caught.value.errors]
    assert found == sorted(found)
    assert {("/surprise", "unknown_field"), ("/module", "bad_id"), (f"{_first}/kind", "bad_enum")} <= set(found)
    assert (f"{_first}/request/body", "unknown_name") in found


@pytest.mark.parametrize("missing", ["module", "name", "capabilities"])
def test_required_fields_of_a_module(document: dict[str, Any], errors_of: Errors, missing: str) -> None:
    """A required field that is absent is `missing` at its own pointer."""
    del document[missing]
    assert (f"/{missing}", "missing") in errors_of(document)


@pytest.mark.parametrize("doc", [None, [], "text", 3])
def test_what_is_no_object_is_no_document(errors_of: Errors, doc: Any) -> None:
    """A document that is not an object is one error at the top."""
    assert errors_of(doc) == {("", "wrong_type")}


@pytest.mark.parametrize(
    ("pointer", "value", "where", "code"),
    [
        ("/format", "taske.capability/2", "/format", "unsupported"),
        ("/name", {"ko": "가게"}, "/name/en", "missing"),
        ("/name", 3, "/name", "wrong_type"),
        ("/name", "{{ x }}", "/name", "template_not_allowed"),
        ("/docs_url", "ftp://x", "/docs_url", "bad_url"),
        ("/categories", ["a", "b", "c", "d", "e", "f"], "/categories", "out_of_range"),
        ("/enabled", "yes", "/enabled", "wrong_type"),
        ("/base_url", "not a url", "/base_url", "bad_url"),
        ("/base_url", "https://u:p@x.example", "/base_url", "bad_url"),
        ("/base_url", "https://127.1", "/base_url", "bad_url"),
        ("/base_url", "https://2852039166", "/base_url", "bad_url"),
        ("/allowed_hosts", ["a b"], "/allowed_hosts/0", "bad_host"),
        ("/allowed_hosts", [], "/allowed_hosts", "out_of_range"),
        ("/allowed_hosts", ["other.example"], "/base_url", "host_not_allowed"),
        ("/allowed_hosts", ["*"], "/allowed_hosts", "unbound_secret"),
        ("/auth/0/type", "oauth1", "/auth/0/type", "unsupported"),
        ("/auth/0/type", "magic", "/auth/0/type", "bad_enum"),
        ("/auth/0/type", "api_key", "/auth/0/apply", "missing"),
        ("/auth/0/type", "oauth2_code", "/auth/0/oauth", "missing"),
        ("/auth/0/type", "token_request", "/auth/0/token", "missing"),
        ("/auth/0/type", "jwt_bearer", "/auth/0/jwt", "missing"),
        ("/auth/0/id", "token", "/auth/1/id", "duplicate"),
        ("/auth/1/fields", {"type": "strnig"}, "/auth/1/fields/type", "bad_schema"),
        ("/auth/1/label", "{{ conn.secret.token }}", "/auth/1/label", "secret_not_allowed"),
        ("/defaults", {"headers": {"Host": "x"}}, "/defaults/headers/Host", "reserved_header"),
        ("/defaults", {"headers": {"K": "{{ conn.secret.token }}"}}, "/defaults/headers", "secret_not_allowed"),
        ("/rate_limits", [{"scope": "module", "limit": 0, "per": "PT1S"}], "/rate_limits/0/limit", "out_of_range"),
        ("/rate_limits", [{"scope": "module", "limit": 1, "per": "P1M"}], "/rate_limits/0/per", "bad_duration"),
        ("/rate_limits", [{"scope": "param:x", "limit": 1, "per": "PT1S"}], "/rate_limits/0/scope", "unknown_ref"),
        ("/errors", [{"when": "response.status ==", "class": "fatal"}], "/errors/0/when", "condition_syntax"),
        ("/errors", [{"when": "params.x", "class": "fatal"}], "/errors/0/when", "unknown_name"),
        ("/errors", [{"when": "true", "class": "sad"}], "/errors/0/class", "bad_enum"),
        (f"{_first}/capability", "other.item", f"{_first}/capability", "bad_id"),
        (f"{_first}/execution", "poll", f"{_first}/execution", "bad_combination"),
        (f"{_first}/execution", "internal", f"{_first}/executor", "missing"),
        (f"{_first}/auth", ["nope"], f"{_first}/auth/0", "unknown_ref"),
        (f"{_first}/params", {"type": "array"}, f"{_first}/params/type", "bad_schema"),
        (f"{_first}/params/properties/name/x-options", {"lookup": "shop.x"}, None, "unknown_ref"),
        (f"{_first}/params/properties/note/x-default", "{{ params.nope }}", None, "unknown_name"),
        (f"{_first}/request", {"method": "GET"}, f"{_first}/request", "one_of_required"),
        (f"{_first}/request/url", "https://api.shop.example", f"{_first}/request", "one_of_required"),
        (f"{_first}/request", {"url": "https://evil.example/x"}, f"{_first}/request/url", "host_not_allowed"),
        (f"{_first}/request/path", "/a/{{ params.name }}", f"{_first}/request/path", "template_not_allowed"),
        (f"{_first}/request/path", "items", f"{_first}/request/path", "bad_url"),
        (f"{_first}/request/path", "/items/{id}", f"{_first}/request/path_params", "path_param_mismatch"),
        (f"{_first}/request/method", "FETCH", f"{_first}/request/method", "bad_enum"),
        (f"{_first}/request/encoding", "yaml", f"{_first}/request/encoding", "bad_enum"),
        (f"{_first}/request/timeout_s", 301, f"{_first}/request/timeout_s", "out_of_range"),
        (f"{_first}/request/redirects", 6, f"{_first}/request/redirects", "out_of_range"),
        (f"{_first}/request/headers", {"Connection": "x"}, f"{_first}/request/headers/Connection", "reserved_header"),
        (f"{_first}/request/headers", {"X": "a\nb"}, f"{_first}/request/headers/X", "reserved_header"),
        (f"{_first}/request/body", "{{ params.name | shout }}", f"{_first}/request/body", "unknown_filter"),
        (f"{_first}/request/body", "{{ params.name", f"{_first}/request/body", "template_syntax"),
        (f"{_first}/request/body", {"$if": "true"}, None, "bad_operator"),
        (f"{_first}/request/body", "{{ cursor.from }}", f"{_first}/request/body", "unknown_name"),
        (f"{_first}/response", {"decode": "pdf"}, f"{_first}/response/decode", "bad_enum"),
        (f"{_first}/response", {"output": "{{ conn.secret.token }}"}, None, "secret_not_allowed"),
        (f"{_first}/response", {"success": "conn.secret.token"}, None, "secret_not_allowed"),
        (f"{_first}/response", {"item": "{{ items }}"}, f"{_first}/response/item", "unknown_name"),
        (f"{_first}/response", {"max_bytes": 10**9}, f"{_first}/response/max_bytes", "out_of_range"),
        (f"{_first}/pagination", {"type": "cursor"}, f"{_first}/pagination/next", "missing"),
        (f"{_first}/pagination", {"type": "link", "max_pages": 101}, f"{_first}/pagination/max_pages", "out_of_range"),
        (f"{_first}/pre", [{"id": "a", "request": {"path": "/a"}}] * 2, f"{_first}/pre/1/id", "duplicate"),
        (f"{_first}/pre", [{"id": "a"}], f"{_first}/pre/0/request", "missing"),
        (f"{_first}/idempotency", {"class": "maybe"}, f"{_first}/idempotency/class", "bad_enum"),
        (f"{_first}/output", {"type": "objekt"}, f"{_first}/output/type", "bad_schema"),
        (f"{_first}/tests", [3], f"{_first}/tests/0", "wrong_type"),
    ],
)
def test_what_a_document_must_not_say(
    document: dict[str, Any], errors_of: Errors, pointer: str, value: Any, where: str | None, code: str
) -> None:
    """Each bad value is an error at its place with the code of the table."""
    _put(document, pointer, value)
    found = errors_of(document)
    assert code in {each for _, each in found}
    if where is not None:
        assert (where, code) in found


def test_a_sample_must_fit_its_output(document: dict[str, Any], errors_of: Errors) -> None:
    """A sample that its output schema refuses is `sample_mismatch` inside the sample."""
    document["capabilities"][0] |= {
        "output": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "sample": {"id": "seven"},
    }
    assert errors_of(document) == {(f"{_first}/sample/id", "sample_mismatch")}


def test_secrets_are_read_only_where_they_are_sent(document: dict[str, Any], errors_of: Errors) -> None:
    """`conn.secret` may stand in a request's body, but not in a condition inside it."""
    document["capabilities"][0]["request"]["body"] = {"key": "{{ conn.secret.token }}"}
    assert errors_of(document) == set()
    document["capabilities"][0]["request"]["body"] = {"key": {"$if": "conn.secret.token", "then": 1}}
    assert {code for _, code in errors_of(document)} == {"secret_not_allowed"}


def test_extensions_are_free(document: dict[str, Any], errors_of: Errors) -> None:
    """Fields that start with `x-` may stand anywhere."""
    document["x-author"] = {"any": ["thing"]}
    document["capabilities"][0]["x-todo"] = []
    assert errors_of(document) == set()


def test_a_poll_needs_its_block(document: dict[str, Any], errors_of: Errors) -> None:
    """A trigger without a webhook block is a poll, and a poll needs `poll` with a key."""
    document["capabilities"][0]["kind"] = "trigger"
    assert errors_of(document) == {(f"{_first}/poll", "missing")}
    document["capabilities"][0]["poll"] = {"cursor": {"type": "timestamp"}}
    assert errors_of(document) == {(f"{_first}/poll/key", "missing"), (f"{_first}/poll/cursor/value", "missing")}


def test_a_webhook_is_validated_and_kept(document: dict[str, Any], errors_of: Errors) -> None:
    """Verification must be written out, and reserved kinds of it are refused."""
    one = document["capabilities"][0]
    one |= {"kind": "trigger", "webhook": {"mode": "manual"}}
    del one["request"]
    assert errors_of(document) == {(f"{_first}/webhook/verify", "missing")}
    one["webhook"]["verify"] = [{"type": "ed25519", "secret": "{{ hook.state.s }}", "signed": [], "signature": {}}]
    found = errors_of(document)
    assert (f"{_first}/webhook/verify/0/type", "unsupported") in found
    assert (f"{_first}/webhook/verify/0/signature", "one_of_required") in found
    one["webhook"] = {"mode": "subscribe", "verify": []}
    assert (f"{_first}/webhook/subscribe", "missing") in errors_of(document)


def test_two_capabilities_of_one_name(document: dict[str, Any], errors_of: Errors) -> None:
    """A capability that is there twice is `duplicate`."""
    document["capabilities"] *= 2
    assert "duplicate" in {code for _, code in errors_of(document)}


def test_a_path_needs_a_base(document: dict[str, Any], errors_of: Errors) -> None:
    """A request with `path` in a module without `base_url` is an error, and so is a module without hosts."""
    del document["base_url"]
    assert errors_of(document) >= {("/allowed_hosts", "missing"), (f"{_first}/request/path", "missing")}


def test_the_hash_is_that_of_the_content(document: dict[str, Any]) -> None:
    """The order of keys and the stated version do not change a module's hash; anything else does."""
    first = parse_module(document).hash
    reordered = dict(reversed(document.items())) | {"version": 3}
    assert parse_module(reordered).hash == first
    assert parse_module(document | {"name": "Other"}).hash != first
    assert canonical_hash({"b": 1, "a": "é"}) == canonical_hash({"a": "é", "b": 1})
