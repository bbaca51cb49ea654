"""Codes: which are right when, what they look like, and what is stored of them."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.security.one_time_codes import (
    label_of,
    mailed_code_digest,
    matching_step,
    new_mailed_code,
    new_recovery_codes,
    new_totp_secret,
    read_code,
    step_at,
    totp_uri,
)

SECRET = base64.b32encode(b"12345678901234567890").decode()  # RFC 6238, appendix B


@pytest.mark.parametrize(("at", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_are_those_of_the_standard(at, code):
    """The vectors of RFC 6238 with its last six digits."""
    now = datetime.fromtimestamp(at, UTC)
    assert matching_step(SECRET, code, now) == step_at(now) == at // 30


def test_the_current_and_the_previous_step_count():
    """A code is right for its own step and the next one, and for no other moment."""
    at = datetime.fromtimestamp(1111111109, UTC)
    step = step_at(at)
    for offset, expected in ((0, step), (30, step), (60, None), (-30, None)):
        assert matching_step(SECRET, "081804", at + timedelta(seconds=offset)) == expected


@pytest.mark.parametrize("code", ["", "0", "081804x", "٠٨١٨٠٤", "0818040", "08180"])
def test_what_is_no_code_is_wrong(code):
    """Other lengths and other digits are simply wrong."""
    assert matching_step(SECRET, read_code(code), datetime.fromtimestamp(1111111109, UTC)) is None


def test_secrets_have_160_bits_and_a_uri():
    """Every secret is another one; the URI names the product and the account, escaped."""
    secrets = {new_totp_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert all(len(base64.b32decode(secret)) == 20 for secret in secrets)
    uri = totp_uri(SECRET, account="mina+x@example.com")
    assert uri.startswith("otpauth://totp/Taske:mina%2Bx%40example.com?secret=" + SECRET)


def test_recovery_codes_have_labels_of_their_own():
    """Ten codes, ten labels, 80 bits each; reading forgives case, spaces and hyphens."""
    codes = new_recovery_codes()
    labels = {label_of(read_code(code)) for code in codes}
    assert len(labels) == 10
    assert {len(read_code(code)) for code in codes} == {18}
    assert read_code(codes[0].lower().replace("-", " ")) == read_code(codes[0])
    assert label_of("123456") is None


def test_mailed_codes_are_bound_to_their_login():
    """Eight digits, and the same code for another challenge is stored as something else."""
    codes = [new_mailed_code() for _ in range(200)]
    assert all(len(code) == 8 and code.isdecimal() for code in codes)
    assert len(set(codes)) > 190
    assert mailed_code_digest("one", codes[0]) != mailed_code_digest("two", codes[0])
