"""Logging in: who gets in, what failures cost, and that nobody learns which accounts exist (security, 2.6 to 2.8)."""

import asyncio
import contextlib
import re
import statistics
import time
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event

from taske_ray.errors import Invalid, TooManyRequests, Unauthenticated
from taske_ray.security import hashing
from taske_ray.services.origin import Origin

pytestmark = pytest.mark.integration
WRONG = "eight wrong bottles"


async def fail(person, times=1, origin=None, password=WRONG):
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            await person.services.logins.log_in(person.email, password, origin or Origin())


async def test_whoever_does_not_get_in_hears_the_same(mina, services):
    """Unknown, wrong, disabled, unverified and without a password: one class, one code, one text."""
    addresses = {"unknown": f"{uuid4().hex}@example.com", "broken": "no address"}
    for kind in ("pending", "disabled", "social"):
        addresses[kind] = f"{uuid4().hex}@example.com"
        await services.accounts.create_user(addresses[kind], mina.password)
    mina.sql("UPDATE users SET status = 'pending' WHERE email = %(who)s", who=addresses["pending"])
    mina.sql("UPDATE users SET status = 'disabled' WHERE email = %(who)s", who=addresses["disabled"])
    mina.sql("UPDATE users SET password_hash = NULL WHERE email = %(who)s", who=addresses["social"])
    tries = [(address, mina.password) for address in addresses.values()] + [(mina.email, WRONG)]
    heard = set()
    for address, password in tries:
        with pytest.raises(Unauthenticated) as refused:
            await services.logins.log_in(address, password, Origin())
        heard.add((refused.value.code, refused.value.message))
    assert len(heard) == 1


async def test_failures_are_slowed_down_and_never_locked(mina):
    """Ten failures are free; then even the right password waits, is told how long, and gets in after that."""
    await fail(mina, 10)
    with pytest.raises(TooManyRequests) as refused:
        await mina.log_in()
    assert refused.value.retry_after_s == 1
    mina.sql("UPDATE login_failures SET failed_at = failed_at - interval '1 second' WHERE email = %(email)s")
    assert (await mina.log_in()).access_token
    await fail(mina, 10)  # what was counted is forgotten


async def test_the_delay_doubles_up_to_a_quarter_of_an_hour(mina):
    """Each further failure doubles the wait, 900 s at most; a quarter of an hour later nothing is left of it."""
    await fail(mina, 10)
    waits = []
    for _ in range(12):
        with pytest.raises(TooManyRequests) as refused:
            await mina.log_in()
        waits.append(refused.value.retry_after_s)
        mina.sql("INSERT INTO login_failures (email) VALUES (%(email)s)")
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-2:] == [900, 900]
    mina.sql("UPDATE login_failures SET failed_at = failed_at - interval '15 minutes' WHERE email = %(email)s")
    assert (await mina.log_in()).access_token


async def test_fifty_at_once_are_counted_like_one_after_the_other(mina):
    """Parallel tries do not slip past the count: twenty are looked at, the others wait, and so does what comes next."""
    outcomes = await asyncio.gather(
        *(mina.services.logins.log_in(mina.email, WRONG, Origin()) for _ in range(50)), return_exceptions=True
    )
    looked_at = sum(isinstance(one, Unauthenticated) for one in outcomes)
    assert 10 <= looked_at <= 30
    assert sum(isinstance(one, TooManyRequests) for one in outcomes) == 50 - looked_at
    with pytest.raises(TooManyRequests):
        await mina.log_in()


async def test_a_fleet_may_log_in_at_once(mina):
    """Twenty right logins of one account at the same time all get in."""
    outcomes = await asyncio.gather(*(mina.log_in() for _ in range(20)))
    assert len({one.access_token for one in outcomes}) == 20


async def test_a_login_whose_process_died_counts_as_failed(mina):
    """After a minute; until then it is one of those that are being looked at."""
    mina.sql(
        "INSERT INTO login_failures (email, pending, failed_at)"
        " SELECT %(email)s, true, clock_timestamp() - interval '59 seconds' FROM generate_series(1, 20)"
    )
    with pytest.raises(TooManyRequests) as refused:
        await mina.log_in()
    assert refused.value.retry_after_s == 1
    mina.sql("UPDATE login_failures SET failed_at = failed_at - interval '2 seconds' WHERE email = %(email)s")
    with pytest.raises(TooManyRequests) as refused:
        await mina.log_in()
    assert refused.value.retry_after_s > 800


async def test_an_address_that_does_not_exist_is_throttled_alike(services):
    """The count is by the address that was typed, in any spelling, whether there is an account or not."""
    name = uuid4().hex
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await services.logins.log_in(f"{' ' * (number % 2)}{name.upper()}@Example.com", WRONG, Origin())
    with pytest.raises(TooManyRequests):
        await services.logins.log_in(f"{name}@example.com", WRONG, Origin())


async def test_a_hundred_failures_from_one_address_stop_it_for_all_accounts(mina, services):
    """An origin with a hundred failures in an hour waits, others do not."""
    mina.sql(
        "INSERT INTO login_failures (email, address)"
        " SELECT 'somebody' || n, '198.51.100.7' FROM generate_series(1, 100) AS n"
    )
    with pytest.raises(TooManyRequests):
        await services.logins.log_in(mina.email, mina.password, Origin("198.51.100.7"))
    assert (await services.logins.log_in(mina.email, mina.password, Origin("198.51.100.8"))).access_token


async def test_one_password_over_many_accounts_raises_an_alarm(mina, services, caplog):
    """The twentieth account that one password fails with is written down once, without the password or its digest."""
    sprayed = f"sprayed {uuid4().hex}"
    for number in range(21):
        with pytest.raises(Unauthenticated):
            await services.logins.log_in(f"spray{number}-{uuid4().hex}@example.com", sprayed, Origin("203.0.113.9"))
    rows = mina.sql("SELECT detail FROM audit WHERE action = 'login.spraying'")
    assert rows == [{"detail": {"accounts": 20}}]
    assert "20 accounts" in caplog.text
    kept = mina.sql("SELECT DISTINCT length(password_tag) AS bytes FROM login_failures WHERE address = '203.0.113.9'")
    assert kept == [{"bytes": 5}]


async def test_a_spray_of_many_at_once_raises_the_same_alarm(mina, services):
    """Logins that are all under way before the first has failed are counted one by one, too."""
    sprayed = f"sprayed {uuid4().hex}"

    async def spray(number):
        with pytest.raises(Unauthenticated):
            await services.logins.log_in(f"spray{number}-{uuid4().hex}@example.com", sprayed, Origin("203.0.113.10"))

    await asyncio.gather(*map(spray, range(30)))
    assert mina.sql("SELECT detail FROM audit WHERE action = 'login.spraying' AND address = '203.0.113.10'") == [
        {"detail": {"accounts": 20}}
    ]


async def test_an_old_hash_is_replaced_at_login(mina):
    """A hash of other parameters becomes one of today's when its password is right, and only then."""
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(mina.password)
    mina.sql("UPDATE users SET password_hash = %(old)s WHERE id = %(id)s", old=old)
    await fail(mina)
    assert mina.sql("SELECT password_hash FROM users WHERE id = %(id)s")[0]["password_hash"] == old
    await mina.log_in()
    fresh = mina.sql("SELECT password_hash FROM users WHERE id = %(id)s")[0]["password_hash"]
    assert fresh.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await mina.log_in()).access_token


async def test_logins_are_audited(mina):
    """Success and failure leave a row each, with the address."""
    await fail(mina, origin=Origin("192.0.2.77"))
    await mina.log_in()
    assert mina.audited()[-2:] == ["session.begin refused", "session.begin"]
    (row,) = mina.sql("SELECT address FROM audit WHERE user_id = %(id)s AND result = 'refused'")
    assert row["address"] == "192.0.2.77"


async def test_reauthentication_makes_a_session_recent_again(mina):
    """After ten minutes a session may not change what protects the account, until the password is given again."""
    tokens = await mina.log_in()
    assert (await mina.who(tokens)).recent
    mina.sql("UPDATE sessions SET authenticated_at = authenticated_at - interval '11 minutes' WHERE user_id = %(id)s")
    stale = await mina.who(tokens)
    assert not stale.recent
    with pytest.raises(Invalid) as refused:
        await mina.services.logins.reauthenticate(stale, WRONG, None, mina.here)
    assert refused.value.errors[0].pointer == "/password"
    assert not (await mina.who(tokens)).recent
    await mina.services.logins.reauthenticate(stale, mina.password, None, mina.here)
    assert (await mina.who(tokens)).recent
    assert mina.audited()[-1] == "session.reauthenticate"


@pytest.fixture
def statements(auth_database):
    """Call it with a coroutine for the statements that this sends to the database: verb and table."""
    sent = []
    engine = auth_database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note := lambda *args: sent.append(args[2]))

    async def during(call):
        sent.clear()
        with contextlib.suppress(Unauthenticated):
            await call
        return [" ".join(re.sub(r"\(.*|%.*", "", text, flags=re.DOTALL).split()[:3]) for text in sent]

    yield during
    event.remove(engine, "before_cursor_execute", note)


def calls(services):
    """What answers a stranger, by name."""
    return {
        "login": lambda address: services.logins.log_in(address, WRONG, Origin()),
        "forget": lambda address: services.passwords.forget(address, Origin()),
        "resend": services.accounts.resend,
        "sign_up": lambda address: services.accounts.sign_up(address, "eleven grey barrels"),
    }


@pytest.mark.parametrize("name", ["login", "forget", "resend", "sign_up"])
async def test_the_work_tells_nobody_which_accounts_exist(mina, services, statements, monkeypatch, name):
    """The same statements and the same hashes for an account and for none, so that no clock can tell them apart."""
    mina.sql("UPDATE users SET verified_at = NULL WHERE id = %(id)s")
    hashes, verify = [], hashing.verify_password
    monkeypatch.setattr(hashing, "verify_password", lambda *args: hashes.append(1) or verify(*args))
    call, work = calls(services)[name], []
    for address in (mina.email, f"{uuid4().hex}@example.com"):
        hashes.clear()
        work.append((await statements(call(address)), len(hashes)))
    assert work[0] == work[1]
    assert work[0][1] == (1 if name == "login" else 0)
    assert len(await mina.mails()) == (0 if name == "login" else 1)


@pytest.mark.parametrize("name", ["login", "forget", "resend"])
async def test_time_tells_nobody_which_accounts_exist(mina, services, name):
    """Interleaved for a known and an unknown address, medians differ by less than 20 % of a hash (one of 3 rounds)."""
    mina.sql("UPDATE users SET verified_at = NULL WHERE id = %(id)s")
    call, hash_s = calls(services)[name], await seconds(services.logins._hashing.verify(None, WRONG))
    differences = []
    for _ in range(3):
        known, unknown = [], []
        for _ in range(20):
            mina.sql("DELETE FROM login_failures")
            mina.sql("DELETE FROM mails")
            known.append(await seconds(call(mina.email)))
            unknown.append(await seconds(call(f"{uuid4().hex}@example.com")))
        differences.append(abs(statistics.median(known) - statistics.median(unknown)))
        if differences[-1] < 0.2 * hash_s:
            return
    pytest.fail(f"{name}: {differences} of a hash of {hash_s}")


async def seconds(call):
    """How long a call takes."""
    started = time.perf_counter()
    with contextlib.suppress(Unauthenticated):
        await call
    return time.perf_counter() - started
