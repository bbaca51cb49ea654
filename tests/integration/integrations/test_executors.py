"""Mail and databases by their own protocols, against servers that nobody here wrote: aiosmtpd, pymap, PostgreSQL."""

import asyncio
import imaplib
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import psycopg
import pytest
from aiosmtpd.smtp import AuthResult

from taske_ray.catalog.registry import load_modules
from taske_ray.core.call import Call
from taske_ray.core.capability import ConnectionValues
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, Succeeded, Unknown
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.executors.imap import Imap
from taske_ray.integrations.executors.port import Job
from taske_ray.integrations.executors.postgres import Postgres
from taske_ray.integrations.executors.smtp import SmtpAccount
from taske_ray.integrations.transport import Transport
from tests.facts import wait_until
from tests.integration.integrations.inbox import receiving

pytestmark = pytest.mark.integration

NOW = "2026-01-05T00:00:00Z"
CATALOG = {name: one for module in load_modules().values() for name, one in module.capabilities.items()}


def job(name, params, connection, **more):
    """A call of a capability of the catalog."""
    capability = CATALOG[name]
    call = Call(
        "c1", UUID(int=1), name, 1, capability.params.fill(params, now=NOW), NOW, run_id="run_1", step="action1", **more
    )
    return Job(call, capability, connection)


def known(_server, _session, _envelope, _mechanism, data):
    """One user with one password."""
    return AuthResult(success=(data.login, data.password) == (b"mina", b"s3cret-pass"), handled=False)


@pytest.fixture
async def inbox():
    """A running SMTP server that wants a login."""
    async with receiving(authenticator=known, auth_require_tls=False, auth_required=True) as found:
        yield found


def account(port, **secret):
    """A connection to it."""
    config = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "username": "mina",
        "from": "Mina <mina@example.com>",
    }
    return ConnectionValues("smtp", config, {"password": "s3cret-pass"} | secret)


async def test_a_mail_goes_out_by_the_users_own_server(transport, inbox):
    """The mail arrives once from the user's address; a recipient that is refused is told."""
    params = {"to": ["bob@example.com", "nobody@example.com"], "subject": "안녕", "text": "본문"}
    outcome = await SmtpAccount(transport).perform(job("email.send", params, account(inbox.port)))
    assert outcome == Succeeded({"message_id": "<run_1.action1@taske>", "refused": ["nobody@example.com"]})
    assert [envelope.rcpt_tos for envelope in inbox.envelopes] == [["bob@example.com"]]
    assert inbox.envelopes[0].mail_from == "mina@example.com"


async def test_a_refused_login_asks_for_a_new_one(transport, inbox):
    """A wrong password is class `auth_revoked`, is nowhere in the message, and sends nothing; so the test says, too."""
    wrong = account(inbox.port, password="wr0ng-password")
    outcome = await SmtpAccount(transport).perform(job("email.send", {"to": ["b@example.com"], "subject": "s"}, wrong))
    assert isinstance(outcome, Failed)
    assert (outcome.error_class, outcome.sent, inbox.envelopes) == (ErrorClass.AUTH_REVOKED, False, [])
    assert "wr0ng" not in outcome.message
    assert isinstance(await SmtpAccount(transport).test(wrong), Failed)
    assert await SmtpAccount(transport).test(account(inbox.port)) == Succeeded({"label": "mina@example.com"})


@pytest.mark.parametrize("executor", [SmtpAccount, Imap, Postgres])
async def test_the_egress_guard_stands_before_every_protocol(executor):
    """A server on a denied address, by number or by name, is not connected to; the answer tells nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        strict = Transport(guard=EgressGuard())
        values = {
            "host": "127.0.0.1",
            "port": listener.getsockname()[1],
            "username": "u",
            "database": "d",
            "from": "a@b.example",
        }
        for host in ("127.0.0.1", "2130706433", "localhost", "::1", "a b", "/var/run/postgresql"):
            outcome = await executor(strict).test(ConnectionValues("x", values | {"host": host}, {"password": "p"}))
            assert isinstance(outcome, Failed)
            assert (outcome.code, outcome.sent) == ("egress_denied", False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        await strict.close()


@pytest.fixture(scope="module")
def mailboxes(tmp_path_factory):
    """The port of a running pymap with one user, and a way to put mails into their inbox."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "pymap"
    options = [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-tls",
        "--no-service",
        "managesieve",
        "--no-service",
        "admin",
    ]
    log = tmp_path_factory.mktemp("pymap") / "log"
    with log.open("wb") as output:
        server = subprocess.Popen([program, *options, "dict"], stdout=output, stderr=output)

    def listens():
        assert server.poll() is None, log.read_text()
        with socket.create_connection(("127.0.0.1", port), 1):
            return True

    wait_until(listens, 30, lambda: f"a mail server: {log.read_text()}", despite=OSError)
    yield port
    server.terminate()
    server.wait()


def mail(subject, text="안녕하세요"):
    """A mail with an attachment."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Mina <mina@example.com>", "orders@example.com", subject
    message["Message-ID"] = f"<{abs(hash(subject))}@example.com>"
    message.set_content(text)
    message.add_attachment(b"1,2", maintype="text", subtype="csv", filename="주문.csv")
    return message.as_bytes()


def mailbox(port, **secret):
    """A connection to it."""
    config = {"host": "127.0.0.1", "port": port, "security": "none", "username": "demouser"}
    return ConnectionValues("imap", config, {"password": "demopass"} | secret)


async def test_new_mails_of_a_mailbox(transport, mailboxes):
    """Mails since the cursor come oldest first, with text and attachments, and stay unseen; older ones stay away."""
    client = imaplib.IMAP4("127.0.0.1", mailboxes)
    client.login("demouser", "demopass")
    client.append("INBOX", None, '"05-Jan-2026 08:00:00 +0900"', mail("old"))
    client.append("INBOX", None, '"05-Jan-2026 10:00:00 +0900"', mail("주문 2"))
    client.append("INBOX", None, '"05-Jan-2026 09:30:00 +0900"', mail("주문 1"))
    client.append("INBOX", None, '"05-Jan-2026 10:30:00 +0900"', mail("other"))
    cursor = {"from": "2026-01-05T00:00:00Z", "value": "2026-01-05T00:10:00Z"}
    found = await Imap(transport).perform(
        job("email.message.new", {"subject_contains": "주문"}, mailbox(mailboxes), cursor=cursor)
    )
    assert isinstance(found, Fetched), found
    assert [item.output["subject"] for item in found.items] == ["주문 1", "주문 2"]
    first = found.items[0]
    assert first.cursor_value == "2026-01-05T00:30:00Z"
    assert first.output["text"].strip() == "안녕하세요"
    assert first.output["attachments"] == [{"filename": "주문.csv", "content_type": "text/csv"}]
    assert (found.filtered, found.truncated, len({item.key for item in found.items})) == (1, False, 2)
    client.select("INBOX", readonly=True)
    assert client.search(None, "SEEN")[1] == [b""]
    client.logout()


async def test_what_a_mailbox_refuses_is_classified(transport, mailboxes):
    """A wrong password revokes, an unknown mailbox is invalid; a good login is labelled."""
    wrong = await Imap(transport).test(mailbox(mailboxes, password="wr0ng-password"))
    assert isinstance(wrong, Failed)
    assert (wrong.error_class, "wr0ng" in wrong.message) == (ErrorClass.AUTH_REVOKED, False)
    nowhere = await Imap(transport).perform(job("email.message.new", {"mailbox": "Nowhere"}, mailbox(mailboxes)))
    assert nowhere.error_class is ErrorClass.INVALID
    assert await Imap(transport).test(mailbox(mailboxes)) == Succeeded({"label": "demouser"})


@asynccontextmanager
async def over_tcp(url, *, cut=None):
    """The port at which a server on a Unix socket is reached; `cut` ends a connection when a client sends this."""
    parts = parse_qs(urlsplit(url).query)
    place = f"{parts['host'][0]}/.s.PGSQL.{parts.get('port', ['5432'])[0]}"

    async def pump(reader, writer, other=None):
        while data := await reader.read(65536):
            if cut is not None and cut in data:
                other.transport.abort()
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader, writer):
        there, back = await asyncio.open_unix_connection(place)
        await asyncio.gather(pump(reader, back, writer), pump(there, writer), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def shop(fresh_database_url):
    """A database with a table in it."""
    with psycopg.connect(fresh_database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE public.orders (id int PRIMARY KEY, name text, price numeric, at timestamptz, tags jsonb)"
        )
        connection.execute("INSERT INTO public.orders VALUES (1, '미나', 10.50, '2026-01-05T00:00:00Z', '[\"a\"]')")
    return fresh_database_url


def database(url, port):
    """A connection to it."""
    parts = urlsplit(url)
    config = {
        "host": "127.0.0.1",
        "port": port,
        "database": parts.path[1:],
        "username": parts.username,
        "tls": "disable",
    }
    return ConnectionValues("postgres", config, {"password": "unused-s3cret"})


async def test_a_statement_with_values(transport, shop):
    """Values are parameters whatever is in them; rows come as JSON, as many as were asked for."""
    async with over_tcp(shop) as port:
        connection, postgres = database(shop, port), Postgres(transport)
        text = "SELECT id, name, price, at, tags FROM public.orders WHERE name = $1"
        found = await postgres.perform(job("database.query", {"sql": text, "values": ["미나"]}, connection))
        row = {"id": 1, "name": "미나", "price": "10.50", "at": "2026-01-05T00:00:00Z", "tags": ["a"]}
        assert found == Succeeded({"rows": [row], "count": 1, "truncated": False})
        hostile = "x'; DROP TABLE public.orders; --"
        none = await postgres.perform(job("database.query", {"sql": text, "values": [hostile]}, connection))
        assert none.output["rows"] == []
        many = {"sql": "SELECT g FROM generate_series(1, 5000) g", "max_rows": 1200}
        found = await postgres.perform(job("database.query", many, connection))
        assert (found.output["count"], found.output["truncated"]) == (1200, True)
        assert (await postgres.test(connection)).output["label"].endswith("at 127.0.0.1")


async def test_what_a_statement_may_not_do(transport, shop):
    """Reading cannot write, two statements are no statement, an error of the text is the server's own."""
    async with over_tcp(shop) as port:
        connection, postgres = database(shop, port), Postgres(transport)
        insert = {"sql": "INSERT INTO public.orders (id) VALUES ($1)", "values": [2]}
        refused = await postgres.perform(job("database.query", insert, connection))
        assert (refused.error_class, refused.code) == (ErrorClass.INVALID, "sql_25006")
        written = await postgres.perform(job("database.query", insert | {"read_only": False}, connection))
        assert written == Succeeded({"rows": [], "count": 1, "truncated": False})
        again = await postgres.perform(job("database.query", insert | {"read_only": False}, connection))
        assert again.code == "sql_23505"
        for text in ("SELECT 1; SELECT 2", "SELEC 1", "SELECT * FROM nowhere"):
            refused = await postgres.perform(job("database.query", {"sql": text}, connection))
            assert refused.error_class is ErrorClass.INVALID, text
        late = job("database.query", {"sql": "SELECT pg_sleep(20)"}, connection, timeout_s=1.0)
        assert (await postgres.perform(late)).error_class is ErrorClass.TRANSIENT


HUGE = "SELECT g, repeat('x', 1000) AS text FROM generate_series(1, 200000) g"  # 200 MB


@contextmanager
def peak_of_memory():
    """How many bytes of memory this process took meanwhile beyond what it had, at most."""

    def read(name):
        return int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0]) * 1024

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, found = read("VmRSS"), []
    yield found
    found.append(read("VmHWM") - before)


@pytest.mark.parametrize(
    ("params", "code"), [({"max_rows": 100}, None), ({"max_rows": 10_000}, "too_large"), ({"read_only": False}, None)]
)
async def test_a_result_of_200_mb_is_not_read(transport, shop, params, code):
    """Up to the rows asked for, or to 5 MiB, whatever the statement goes on to give; in 40 MB of memory."""
    async with over_tcp(shop) as port:
        with peak_of_memory() as peak:
            found = await Postgres(transport).perform(
                job("database.query", {"sql": HUGE} | params, database(shop, port))
            )
    if code is None:
        most = params.get("max_rows", 1000)
        assert (found.output["count"], found.output["truncated"]) == (most, True)
        assert found.output["rows"][-1] == {"g": most, "text": "x" * 1000}
    else:
        assert (found.error_class, found.code) == (ErrorClass.FATAL, code)
    assert peak[0] < 40_000_000


async def test_a_statement_is_ended_with_its_reading(transport, shop):
    """The server does not go on with what nobody reads any more, long before the time for the call is over."""
    sql = "SELECT repeat('x', 1000), CASE WHEN g > 100 THEN pg_sleep(20) END FROM generate_series(1, 200) g"
    async with over_tcp(shop) as port:
        one = job("database.query", {"sql": sql, "max_rows": 5}, database(shop, port), timeout_s=30.0)
        assert (await Postgres(transport).perform(one)).output["truncated"] is True
    with psycopg.connect(shop, autocommit=True) as connection:
        running = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%'"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        wait_until(lambda: connection.execute(running).fetchone() == (0,), 5.0, "the statement ended")


@pytest.mark.parametrize("text", ["'y'", "repeat('y', 1000)"])
async def test_what_was_written_stays_however_much_it_gives_back(transport, shop, text):
    """`RETURNING` more rows or bytes than are read: all are written and committed, and the outcome says so."""
    insert = (
        f"INSERT INTO public.orders (id, name) SELECT g, {text} FROM generate_series(10, 20009) g RETURNING id, name"
    )
    params = {"sql": insert, "read_only": False, "max_rows": 10_000}
    async with over_tcp(shop) as port:
        found = await Postgres(transport).perform(job("database.query", params, database(shop, port)))
    with psycopg.connect(shop) as connection:
        assert connection.execute("SELECT count(*) FROM public.orders WHERE id >= 10").fetchone() == (20_000,)
    if text == "'y'":
        assert (found.output["count"], found.output["truncated"]) == (10_000, True)
    else:
        assert (found.code, found.sent, "was executed" in found.message) == ("too_large", True, True)


async def test_a_statement_without_rows(transport, shop):
    """It says how many it touched; an error half-way through a result undoes all of it; COPY is refused."""
    async with over_tcp(shop) as port:
        connection, postgres = database(shop, port), Postgres(transport)

        async def run(sql, **more):
            return await postgres.perform(job("database.query", {"sql": sql, "read_only": False, **more}, connection))

        fill = "INSERT INTO public.orders (id) SELECT g FROM generate_series(10, 19) g"
        assert (await run(fill)).output == {"rows": [], "count": 10, "truncated": False}
        assert (await run("UPDATE public.orders SET name = $1 WHERE id > $2", values=["x", 14])).output["count"] == 5
        assert (await run("DELETE FROM public.orders WHERE id = 99")).output["count"] == 0
        assert (await run("CREATE TABLE public.empty ()")).output["rows"] == []
        assert (await run("SELECT * FROM public.orders WHERE id = 99")).output["count"] == 0
        assert (await run("-- nothing")).output == {"rows": [], "count": 0, "truncated": False}
        twice = await run("SELECT 1 AS a, $1::jsonb AS a, $2::int[] AS b", values=[{"k": 1}, "{1,2}"])
        assert twice.output["rows"] == [{"a": {"k": 1}, "b": [1, 2]}]
        broken = await run("UPDATE public.orders SET name = 'z' WHERE id > 9 RETURNING 1 / (id - 19)")
        assert (broken.error_class, broken.code) == (ErrorClass.INVALID, "sql_22012")
        assert (await run("SELECT 1 FROM public.orders WHERE name = 'z'")).output["count"] == 0
        for copy in ("COPY public.orders TO STDOUT", "COPY public.orders FROM STDIN"):
            refused = await run(copy)
            assert (refused.error_class, refused.code) == (ErrorClass.INVALID, "sql_0a000")


async def test_a_broken_connection_is_unknown_only_for_writes(transport, shop):
    """Where the answer to a statement never came, a read may be repeated and a write is an unknown outcome."""
    async with over_tcp(shop, cut=b"broken here") as port:
        connection, postgres = database(shop, port), Postgres(transport)
        read = await postgres.perform(job("database.query", {"sql": "SELECT 1 -- broken here"}, connection))
        assert (read.error_class, read.sent) == (ErrorClass.TRANSIENT, True)
        write = {"sql": "DELETE FROM public.orders -- broken here", "read_only": False}
        assert isinstance(await postgres.perform(job("database.query", write, connection)), Unknown)
