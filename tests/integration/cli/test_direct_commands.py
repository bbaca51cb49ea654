"""Commands that work on the database itself: an external one by TASKE_DATABASE_URL, an embedded one by its folder."""

import base64
import io
import json
import os

import psycopg
import pytest

from taske_ray.cli.main import run

pytestmark = pytest.mark.integration


@pytest.fixture
def taske(fresh_database_url, monkeypatch):
    """Run a command against a database of this test's own; the second argument is standard input."""
    monkeypatch.setenv("TASKE_DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("TASKE_MASTER_KEY", base64.b64encode(bytes(32)).decode())

    def command(*arguments: str, stdin: str = "") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        return run(arguments)

    return command


def rows(url, query):
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_user_create(taske, fresh_database_url, capsys):
    """The account is active, has the role that was asked for, and no readable password."""
    assert (
        taske("user", "create", "Mina@Example.com", "--admin", "--password-stdin", stdin="correct horse battery") == 0
    )
    [(email, role, status, hashed)] = rows(fresh_database_url, "SELECT email, role, status, password_hash FROM users")
    assert (email, role, status) == ("mina@example.com", "admin", "active")
    assert "correct" not in hashed
    assert capsys.readouterr().out.startswith("Created user_")


def test_a_taken_address_is_refused(taske, capsys):
    """The same address twice is a failure that says so."""
    assert taske("user", "create", "a@example.com", "--password-stdin", stdin="correct horse battery") == 0
    assert taske("user", "create", "a@example.com", "--password-stdin", stdin="correct horse battery") == 1
    assert "already" in capsys.readouterr().err


def test_user_role(taske, fresh_database_url, capsys):
    """A role is changed by address, said, and repeated without harm; an unknown address or role is refused."""
    assert taske("user", "create", "mina@example.com", "--password-stdin", stdin="correct horse battery") == 0
    for role in ("admin", "admin", "user"):
        assert taske("user", "role", "Mina@Example.com", role) == 0
        assert rows(fresh_database_url, "SELECT role FROM users") == [(role,)]
        assert capsys.readouterr().out.rstrip().endswith(f"is {role}")
    assert taske("user", "role", "nobody@example.com", "admin") == 1
    assert "nobody@example.com" in capsys.readouterr().err
    assert taske("user", "role", "mina@example.com", "owner") == 2


def test_rotate_signing_key(taske, monkeypatch, fresh_database_url, capsys):
    """A new key signs; the one before verifies for ten minutes more, a stolen one nothing."""
    monkeypatch.setenv("TASKE_MASTER_KEY", base64.b64encode(os.urandom(32)).decode())
    verifying = "SELECT kid FROM signing_keys WHERE retired_at IS NULL OR retired_at > now() ORDER BY created_at DESC"
    for _ in range(2):
        assert taske("rotate-key", "--signing") == 0
    assert len(rows(fresh_database_url, verifying)) == 2
    assert taske("rotate-key", "--signing", "--stolen") == 0
    [(kid,)] = rows(fresh_database_url, verifying)
    assert capsys.readouterr().out.rstrip().endswith(kid)


def test_rotate_the_master_key(taske, monkeypatch, fresh_database_url, capsys):
    """With a new master key and the former one at hand all data keys are wrapped anew; then the new one is enough."""
    first, second = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    monkeypatch.setenv("TASKE_MASTER_KEY", first)
    assert taske("rotate-key", "--signing") == 0
    under = "SELECT DISTINCT kek_id FROM data_keys"
    [(before,)] = rows(fresh_database_url, under)
    monkeypatch.setenv("TASKE_MASTER_KEY", second)
    monkeypatch.setenv("TASKE_MASTER_KEY_OLD", first)
    assert taske("rotate-key", "--status") == 0
    assert "1 data keys under earlier ones" in capsys.readouterr().out
    assert taske("rotate-key", "--data") == 0
    assert "0 data keys under earlier ones, 0 rows left" in capsys.readouterr().out
    assert rows(fresh_database_url, under) != [(before,)]
    monkeypatch.delenv("TASKE_MASTER_KEY_OLD")
    assert taske("rotate-key", "--signing") == 0


def test_a_weak_password_is_refused_with_its_pointer(taske, capsys):
    """A password against the rules is told like a 422 of the API."""
    assert taske("user", "create", "a@example.com", "--password-stdin", stdin="short") == 1
    assert "/password" in capsys.readouterr().err


def test_mail_list(taske, fresh_database_url, capsys):
    """The outbox can be read as JSON, newest first."""
    with psycopg.connect(fresh_database_url) as connection:
        connection.execute(
            "INSERT INTO mails (id, recipients, subject, body_text, purpose)"
            " VALUES (gen_random_uuid(), ARRAY['a@example.com'], 'Hello', 'token', 'verify')"
        )
    assert taske("mail", "list", "-o", "json") == 0
    [mail] = json.loads(capsys.readouterr().out)
    assert (mail["recipients"], mail["subject"], mail["body_text"]) == (["a@example.com"], "Hello", "token")


def test_db_migrate_can_be_repeated(taske, capsys):
    """Migrating a database that is up to date changes nothing."""
    assert taske("db", "migrate") == 0
    assert taske("db", "migrate") == 0
    assert "up to date" in capsys.readouterr().out


def test_an_unreachable_database_is_one_line(taske, monkeypatch, capsys):
    """A database that is away is told without a traceback."""
    monkeypatch.setenv("TASKE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert taske("db", "migrate") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_user_create_before_the_first_start(monkeypatch, tmp_path, capsys):
    """With an embedded database that does not run, it is created, used and stopped again."""
    monkeypatch.delenv("TASKE_DATABASE_URL", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery"))
    data_dir = tmp_path / "data"
    assert run(["user", "create", "a@example.com", "--password-stdin", "--data-dir", str(data_dir)]) == 0
    assert capsys.readouterr().out.startswith("Created user_")
    assert not list(data_dir.glob("postgres/postmaster.pid"))
