"""Who speaks to which service, and where that is remembered."""

import stat

import pytest

from taske_ray.sdk import logins
from taske_ray.sdk.client import whereto
from taske_ray.sdk.logins import SavedLogin, read_login, write_login


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """Each test has its own configuration folder and no TASKE_ variables."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("TASKE_URL", raising=False)
    monkeypatch.delenv("TASKE_API_KEY", raising=False)


def test_the_file_is_private():
    """The saved login is read back, and nobody else can read it."""
    file = write_login(SavedLogin("http://x", "tsk_1"))
    assert read_login() == SavedLogin("http://x", "tsk_1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_broken_file_is_no_login():
    """Nonsense in the file counts as not logged in."""
    logins.login_file().parent.mkdir(parents=True)
    logins.login_file().write_text("[]")
    assert read_login() is None


def test_the_key_is_not_printed():
    """Printing a saved login does not show the key."""
    assert "tsk_1" not in repr(SavedLogin("http://x", "tsk_1"))


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        ((None, None), {}, ("http://saved", "saved-key")),
        (("http://saved/", None), {}, ("http://saved", "saved-key")),
        (("http://other", None), {}, ("http://other", None)),
        (("http://other", "k"), {}, ("http://other", "k")),
        ((None, "k"), {}, ("http://127.0.0.1:8000", "k")),
        ((None, None), {"TASKE_URL": "http://env"}, ("http://env", None)),
        ((None, None), {"TASKE_URL": "http://127.0.0.1:8000"}, ("http://127.0.0.1:8000", None)),
        ((None, None), {"TASKE_URL": "http://env", "TASKE_API_KEY": "e"}, ("http://env", "e")),
        ((None, None), {"TASKE_API_KEY": "e"}, ("http://127.0.0.1:8000", "e")),
        (("http://other", None), {"TASKE_URL": "http://env", "TASKE_API_KEY": "e"}, ("http://other", None)),
    ],
)
def test_a_key_only_goes_to_its_own_service(arguments, env, expected, monkeypatch):
    """Arguments beat the environment, which beats the saved login; no key is sent to another service than its own."""
    write_login(SavedLogin("http://saved", "saved-key"))
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert whereto(*arguments) == expected
