"""Problems become the exceptions that the server mapped to them."""

import json

import pytest

from taske_ray import errors
from taske_ray.sdk.problems import error_of, retry_after


def problem(**values):
    return json.dumps({"title": "T", "detail": "D", **values}).encode()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthenticated", errors.Unauthenticated),
        (403, "forbidden", errors.Forbidden),
        (404, "not_found", errors.NotFound),
        (409, "conflict", errors.Conflict),
        (409, "version_conflict", errors.VersionConflict),
        (409, "run_finished", errors.Conflict),
        (412, "precondition_failed", errors.PreconditionFailed),
        (413, "too_large", errors.TooLarge),
        (415, "unsupported_media_type", errors.UnsupportedMediaType),
        (422, "bad_cron", errors.Invalid),
        (429, "rate_limited", errors.TooManyRequests),
        (503, "unavailable", errors.Unavailable),
        (500, "error", errors.TaskeError),
        (418, "teapot", errors.TaskeError),
    ],
)
def test_status_and_code_choose_the_class(status, code, kind):
    """The class follows from the status, and a code of one of its subclasses makes it more precise."""
    error = error_of(status, {}, problem(code=code))
    assert type(error) is kind
    assert (error.code, error.message) == (code, "D")


def test_broken_rules_keep_their_pointers():
    """Each entry of `errors` comes back as a FieldError."""
    row = {"pointer": "/name", "code": "too_long", "message": "shorter"}
    error = error_of(422, {}, problem(code="invalid", errors=[row, "nonsense"]))
    assert error.errors == (errors.FieldError("/name", "too_long", "shorter"),)


def test_retry_after_is_kept():
    """How long to wait is on the exception."""
    assert error_of(429, {"retry-after": "7"}, problem()).retry_after_s == 7


def test_request_id_is_a_note():
    """The request id, for asking the operator, is a note on the exception."""
    assert error_of(500, {}, problem(request_id="r1")).__notes__ == ["request r1"]


@pytest.mark.parametrize("content", [b"", b"<html>gateway</html>", b"[]", b'"x"', b'{"errors": 5}'])
def test_anything_else_is_still_an_error(content):
    """An answer that is no problem document names its status."""
    error = error_of(502, {}, content)
    assert isinstance(error, errors.Unavailable)
    assert "502" in error.message


def test_a_date_in_retry_after_is_ignored():
    """Only seconds are understood."""
    assert retry_after({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}) is None
