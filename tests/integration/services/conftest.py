"""Services on a real database, with a master key of the test's own and a clock that can be moved ahead."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pyotp
import pytest
from psycopg.rows import dict_row

from taske_ray.bootstrap import account_services
from taske_ray.clock import SystemClock
from taske_ray.db.database import Database
from taske_ray.db.mails import list_mails
from taske_ray.security.vault import Keyring, new_master_key, purpose_keys, read_master_key
from taske_ray.services.authentication import Authentication
from taske_ray.services.origin import Origin
from taske_ray.services.sealing import Sealer
from taske_ray.services.signing import PublicKeys
from taske_ray.settings import Settings

ISSUER = "http://taske.test"
PASSWORD = "seven green bottles"
HERE = Origin("192.0.2.1", "pytest")
_master = read_master_key(new_master_key())


class MovableClock(SystemClock):
    """The machine's clock, some seconds ahead: codes of other steps need no waiting."""

    ahead_s = 0.0

    def now(self):
        """The instant that this clock shows."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)


@dataclass
class Person:
    """Somebody with an active account, and what they can do."""

    email: str
    services: Any
    authentication: Any
    database: Any
    url: str
    clock: MovableClock
    here: Origin = HERE
    password: str = PASSWORD
    secret: str = ""
    recovery_codes: list[str] = field(default_factory=list)

    async def log_in(self, password: str | None = None):
        """What a login gives."""
        return await self.services.logins.log_in(self.email, password or self.password, self.here)

    async def come_in(self):
        """A session, with the second factor where one is enrolled; the principal of its access token."""
        outcome = await self.log_in()
        if not hasattr(outcome, "access_token"):
            outcome = await self.services.entrance.after_second_factor(outcome.challenge, self.code(), self.here)
        return await self.who(outcome)

    async def who(self, tokens):
        """The principal of an access token."""
        return await self.authentication.authenticate(f"Bearer {tokens.access_token}")

    async def enrol(self):
        """Turn one-time codes on; the tokens of the session that is left."""
        principal = await self.come_in()
        self.secret = (await self.services.second_factors.enrol(principal, self.here))["secret"]
        self.recovery_codes, tokens = await self.services.second_factors.confirm(principal, self.code(), self.here)
        return tokens

    def code(self):
        """The next code of the app: time moves on by a step, because each is good once."""
        self.clock.ahead_s += 30
        return pyotp.TOTP(self.secret).at(self.clock.now())

    async def mails(self, purpose=None, to=None):
        """The mails to this address, oldest first."""
        async with self.database.transaction() as tx:
            found = await list_mails(tx, limit=1000)
        mine = [mail for mail in reversed(found) if mail.recipients == [to or self.email]]
        return [mail for mail in mine if purpose in (None, mail.purpose)]

    async def mailed_token(self, purpose, to=None):
        """The token in the newest mail of a purpose."""
        return re.search(r"#token=([\w-]+)", (await self.mails(purpose, to))[-1].body_text)[1]

    async def mailed_code(self):
        """The code in the newest mail that carries one."""
        return re.search(r"^\d{8}$", (await self.mails("login_code"))[-1].body_text, re.MULTILINE)[0]

    def sql(self, statement, **values):
        """Rows of a statement about this person: `%(id)s` and `%(email)s` are theirs."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, {"id": self.id, "email": self.email, **values})
            return cursor.fetchall() if cursor.description else []

    @property
    def id(self) -> UUID | None:
        """The account's id, as long as there is one."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT id FROM users WHERE email = %s", [self.email]).fetchone()
        return row[0] if row else None

    def audited(self):
        """What the trail says about this person, oldest first."""
        rows = self.sql("SELECT action, result FROM audit WHERE user_id = %(id)s ORDER BY at, id")
        return [row["action"] if row["result"] == "ok" else f"{row['action']} {row['result']}" for row in rows]


@pytest.fixture
def keyring():
    return Keyring(purpose_keys(_master))


@pytest.fixture
def sealer(database, keyring):
    return Sealer(database, keyring)


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def services(auth_database, keyring, tmp_path, clock):
    """Everything behind `/auth`, as it is put together; addresses must be verified."""
    settings = Settings(tmp_path, public_url=ISSUER, require_email_verification=True)
    return account_services(settings, auth_database, keyring, {}, clock)


@pytest.fixture
def accounts(services):
    return services.accounts


@pytest.fixture
def sessions(services):
    return services.sessions


@pytest.fixture
def logins(services):
    return services.logins


@pytest.fixture
def api_keys(services):
    return services.api_keys


@pytest.fixture
def authentication(api_database, clock):
    return Authentication(api_database, public_keys=PublicKeys(api_database), issuer=ISSUER, clock=clock)


@pytest.fixture
async def mina(services, authentication, database, database_url, clock, email):
    """Somebody with an active account."""
    return Person(email, services, authentication, database, database_url, clock)


@pytest.fixture
async def other_process(database_url):
    """Pools of another process on the same database."""
    opened = await Database(database_url, role="taske_auth").open()
    yield opened
    await opened.close()


@pytest.fixture
async def email(accounts):
    """The address of an active account; its password is PASSWORD."""
    address = f"{uuid4().hex}@example.com"
    await accounts.create_user(address, PASSWORD)
    return address
