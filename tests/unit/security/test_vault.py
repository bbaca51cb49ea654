"""The vault opens what it sealed, there and nowhere else."""

import base64
import re
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.errors import StartRefused
from taske_ray.security.opening import open_value
from taske_ray.security.sealed import Place, VaultError, key_id_of
from taske_ray.security.vault import Keyring, new_master_key, open_sealed, purpose_keys, read_master_key, seal

MASTER, OTHER = bytes(range(32)), bytes(range(1, 33))
USER, ROW, KEY = UUID(int=1), UUID(int=2), UUID(int=3)
PLACE = Place("triggers", ROW, "sealed_secret")


@pytest.fixture
def ring():
    """A ring with every purpose."""
    return Keyring(purpose_keys(MASTER))


@pytest.fixture
def key(ring):
    """A user's key for hooks."""
    return ring.new_data_key(KEY, USER, "hooks")


@given(st.binary(max_size=2000))
def test_what_is_sealed_opens(plaintext):
    """Any bytes come back as they were, and stand nowhere in the stored form."""
    key = Keyring(purpose_keys(MASTER)).new_data_key(KEY, USER, "hooks")
    stored = seal(key, PLACE, plaintext)
    assert open_sealed(key, PLACE, stored) == plaintext
    assert len(plaintext) < 4 or plaintext not in stored
    assert key_id_of(stored) == KEY


def test_the_stored_form(key):
    """Version, key id, nonce, ciphertext and tag: 1 + 16 + 12 + n + 16 bytes, never twice the same."""
    one, two = seal(key, PLACE, b"secret"), seal(key, PLACE, b"secret")
    assert (one[0], one[1:17], len(one)) == (1, KEY.bytes, 1 + 16 + 12 + 6 + 16)
    assert one[17:29] != two[17:29]


@given(st.data())
def test_any_flipped_bit_is_noticed(data):
    """One changed bit anywhere, and nothing opens."""
    key = Keyring(purpose_keys(MASTER)).new_data_key(KEY, USER, "hooks")
    stored = bytearray(seal(key, PLACE, b"secret"))
    position = data.draw(st.integers(0, len(stored) * 8 - 1))
    stored[position // 8] ^= 1 << position % 8
    with pytest.raises(VaultError):
        open_sealed(key, PLACE, bytes(stored))


@given(st.integers(0, 50))
def test_a_shortened_value_does_not_open(length):
    """A value cut anywhere opens nowhere."""
    key = Keyring(purpose_keys(MASTER)).new_data_key(KEY, USER, "hooks")
    with pytest.raises(VaultError):
        open_sealed(key, PLACE, seal(key, PLACE, b"secret")[:length])


@pytest.mark.parametrize(
    "place",
    [replace(PLACE, row=UUID(int=9)), replace(PLACE, table="connections"), replace(PLACE, column="other")],
)
def test_a_value_moved_elsewhere_does_not_open(key, place):
    """Copied to another row, table or column, a value stays closed."""
    with pytest.raises(VaultError):
        open_sealed(key, place, seal(key, PLACE, b"secret"))


@pytest.mark.parametrize("change", [{"user": UUID(int=9)}, {"user": None}, {"version": 2}, {"purpose": "auth"}])
def test_another_user_version_or_purpose_does_not_open(key, change):
    """The same key bytes under another user, version or purpose open nothing."""
    with pytest.raises(VaultError):
        open_sealed(replace(key, **change), PLACE, seal(key, PLACE, b"secret"))


def test_separators_in_a_place_are_refused(key):
    """A place cannot be written so that two places look alike."""
    with pytest.raises(VaultError):
        seal(key, Place("a|b", ROW, "c"), b"x")


def test_credentials_are_opened_elsewhere(ring):
    """The general opener refuses credentials; only the opening function of the integration client reads them."""
    key = ring.new_data_key(KEY, USER, "credentials")
    stored = seal(key, PLACE, b"secret")
    with pytest.raises(VaultError):
        open_sealed(key, PLACE, stored)
    assert open_value(key, PLACE, stored) == b"secret"


def test_data_keys_are_wrapped(ring, key):
    """A wrapped key unwraps to itself and does not show its bytes."""
    wrapped = ring.wrap(key)
    assert ring.unwrap(wrapped) == key
    assert key.key not in wrapped.wrapped
    assert repr(key.key) not in repr(key)


@pytest.mark.parametrize(
    "change",
    [
        {"user": UUID(int=9)},
        {"user": None},
        {"purpose": "auth"},
        {"version": 2},
        {"id": UUID(int=9)},
        {"kek_id": "0000000000000000"},
        {"wrapped": b""},
        {"wrapped": b"x" * 60},
    ],
)
def test_a_changed_key_row_does_not_unwrap(ring, key, change):
    """A data key moved to another user, purpose, version or id, or damaged, is refused."""
    with pytest.raises(VaultError):
        ring.unwrap(replace(ring.wrap(key), **change))


def test_a_process_has_only_its_purposes(ring):
    """A ring without a purpose can neither wrap nor unwrap its keys."""
    wrapped = ring.wrap(ring.new_data_key(KEY, USER, "credentials"))
    hooks_only = Keyring(purpose_keys(MASTER, purposes=("hooks",)))
    with pytest.raises(VaultError):
        hooks_only.unwrap(wrapped)
    with pytest.raises(VaultError):
        hooks_only.wrap(hooks_only.new_data_key(KEY, USER, "credentials"))


def test_old_master_keys_only_unwrap(ring, key):
    """After a rotation the old key opens what it wrapped, and everything new is under the new one."""
    wrapped = ring.wrap(key)
    rotated = Keyring(purpose_keys(OTHER, [MASTER]))
    assert rotated.unwrap(wrapped) == key
    again = rotated.wrap(rotated.unwrap(wrapped))
    assert again.kek_id != wrapped.kek_id
    assert Keyring(purpose_keys(OTHER)).unwrap(again) == key
    with pytest.raises(VaultError):
        ring.unwrap(again)
    with pytest.raises(VaultError):
        Keyring(purpose_keys(OTHER)).unwrap(wrapped)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "not base64! not base64! not base64! not base64!",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        base64.b64encode(b"x" * 31).decode(),
        base64.b64encode(bytes(range(31))).decode(),
        base64.b64encode(bytes(range(32))).decode(),
        base64.b64encode(bytes(range(255, 215, -1))).decode(),
        base64.b64encode(b"0123456789abcdef" * 2).decode(),
        base64.b64encode(b"change-me!" * 4).decode(),
    ],
)
def test_weak_master_keys_stop_the_start(text):
    """A short, constant, counted or repeated master key is refused."""
    with pytest.raises(StartRefused):
        read_master_key(text)


def test_no_key_that_our_pages_show_is_accepted():
    """Whatever in the documentation looks like a key of 32 bytes would refuse the start."""
    root = Path(__file__).parents[3]
    pages = [root / "README.md", root / "cluster.yaml", *root.glob("docs/**/*.md"), *root.glob("examples/*")]
    shown = {text for page in pages for text in re.findall(r"(?<![\w+/-])[\w+/]{43}=", page.read_text("utf-8"))}
    for text in shown:
        with pytest.raises(StartRefused):
            read_master_key(text)


def test_a_fresh_master_key_is_good():
    """What we generate is accepted."""
    assert len(read_master_key(new_master_key())) == 32
