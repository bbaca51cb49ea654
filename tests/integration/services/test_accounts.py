"""Accounts and sessions against a real database: who gets in, who is told what, and what ends a session."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from taske_ray.clock import SystemClock
from taske_ray.db.mails import list_mails
from taske_ray.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests, Unauthenticated
from taske_ray.security.hashing import PasswordHashing
from taske_ray.services.accounts import AccountRules, Accounts
from taske_ray.services.entrance import SecondFactorDue
from taske_ray.services.origin import Origin

pytestmark = pytest.mark.integration
PASSWORD = "seven green bottles"  # as in conftest.py
ISSUER = "http://taske.test"  # as in conftest.py
HERE = Origin("192.0.2.1", "pytest")


async def mails_to(database, address):
    async with database.transaction() as tx:
        return [mail for mail in reversed(await list_mails(tx, limit=1000)) if mail.recipients == [address]]


async def principal_of(email, logins, authentication):
    tokens = await logins.log_in(email, PASSWORD, HERE)
    return await authentication.authenticate(f"Bearer {tokens.access_token}")


async def test_sign_up_needs_the_mailed_token(accounts, logins, database):
    """An account cannot log in before its address is confirmed, and can afterwards; the token works once."""
    address = f"{uuid4().hex}@example.com"
    await accounts.sign_up(address, PASSWORD, "ko")
    with pytest.raises(Unauthenticated):
        await logins.log_in(address, PASSWORD, HERE)
    (mail,) = await mails_to(database, address)
    token = re.search(r"#token=([\w-]+)", mail.body_text)[1]
    await accounts.verify(token)
    assert (await logins.log_in(address, PASSWORD, HERE)).access_token
    with pytest.raises(Invalid):
        await accounts.verify(token)


async def test_sign_up_mails_a_token_even_where_nobody_must_verify(database, logins):
    """Without required verification an account works at once, and its mailed token is good all the same."""
    accounts = Accounts(database, hashing=PasswordHashing(), rules=AccountRules(url=ISSUER))
    address = f"{uuid4().hex}@example.com"
    await accounts.sign_up(address, PASSWORD)
    assert (await logins.log_in(address, PASSWORD, HERE)).access_token
    (mail,) = await mails_to(database, address)
    await accounts.verify(re.search(r"#token=([\w-]+)", mail.body_text)[1])


async def test_sign_up_of_a_known_address_writes_to_it(accounts, email, database):
    """A second sign-up raises nothing, changes nothing and tells the owner."""
    await accounts.sign_up(email, "another long password")
    assert [mail.purpose for mail in await mails_to(database, email)] == ["known"]


async def test_fifty_sign_ups_at_once_make_one_account(accounts, database, database_url):
    """Concurrent sign-ups of one address make one account and five mails; who is not served is told to come later."""
    address = f"{uuid4().hex}@example.com"
    outcomes = await asyncio.gather(*(accounts.sign_up(address, PASSWORD) for _ in range(50)), return_exceptions=True)
    assert all(one is None or isinstance(one, TooManyRequests) for one in outcomes)
    assert len(await mails_to(database, address)) == 5
    with psycopg.connect(database_url) as connection:
        count = connection.execute("SELECT count(*) FROM users WHERE email = %s", [address]).fetchone()
    assert count == (1,)


async def test_a_closed_service_makes_no_accounts_and_tells_nothing(database, email):
    """Closed sign-up refuses every address alike; the operator's own way stays open."""
    closed = Accounts(database, hashing=PasswordHashing(), rules=AccountRules(signup_open=False))
    for address in (email, f"{uuid4().hex}@example.com", "no address"):
        with pytest.raises(Forbidden) as refused:
            await closed.sign_up(address, PASSWORD)
        assert refused.value.code == "signup_closed"
    assert await mails_to(database, email) == []
    assert await closed.create_user(f"{uuid4().hex}@example.com", PASSWORD)


@pytest.mark.parametrize("which", [0, 1])
async def test_each_sign_up_brings_its_own_password(accounts, logins, database, which):
    """Who signed up first for somebody else's address gets nothing from the owner's confirmation (pre-hijacking)."""
    address, passwords = f"{uuid4().hex}@example.com", ("nine blue bottles on a wall", PASSWORD)
    for password in passwords:
        await accounts.sign_up(address, password)
    tokens = [re.search(r"#token=([\w-]+)", mail.body_text)[1] for mail in await mails_to(database, address)]
    await accounts.verify(tokens[which])
    with pytest.raises(Unauthenticated):
        await logins.log_in(address, passwords[1 - which], HERE)
    assert (await logins.log_in(address, passwords[which], HERE)).access_token
    with pytest.raises(Invalid):
        await accounts.verify(tokens[1 - which])


async def test_a_resent_token_brings_nobodys_password_when_two_signed_up(accounts, services, logins, database):
    """The address is confirmed, and its owner chooses a password by mail."""
    address, passwords = f"{uuid4().hex}@example.com", ("nine blue bottles on a wall", PASSWORD)
    for password in passwords:
        await accounts.sign_up(address, password)
    await accounts.resend(address)
    await accounts.verify(re.search(r"#token=([\w-]+)", (await mails_to(database, address))[-1].body_text)[1])
    for password in passwords:
        with pytest.raises(Unauthenticated):
            await logins.log_in(address, password, HERE)
    await services.passwords.forget(address, HERE)
    token = re.search(r"#token=([\w-]+)", (await mails_to(database, address))[-1].body_text)[1]
    await services.passwords.reset(token, PASSWORD, None, HERE)
    assert (await logins.log_in(address, PASSWORD, HERE)).access_token


async def test_another_mail_goes_only_to_who_waits_for_one(accounts, logins, database, email):
    """Resending gives a second token that works like the first; confirmed and unknown addresses get nothing."""
    address = f"{uuid4().hex}@example.com"
    await accounts.sign_up(address, PASSWORD)
    for one in (address, email, "nobody@example.com"):
        await accounts.resend(one)
    mails = await mails_to(database, address)
    assert [mail.purpose for mail in mails] == ["verify"] * 2
    assert await mails_to(database, email) == await mails_to(database, "nobody@example.com") == []
    for mail in mails[:1]:
        await accounts.verify(re.search(r"#token=([\w-]+)", mail.body_text)[1])
    assert (await logins.log_in(address, PASSWORD, HERE)).access_token


@pytest.mark.parametrize(("locale", "word"), [("ko", "확인"), ("ja", "確認"), ("en", "Confirm"), (None, "Confirm")])
async def test_mails_are_in_the_language_of_the_account(accounts, database, locale, word):
    """Also those that are sent without anybody being logged in; no token stands in the subject."""
    address = f"{uuid4().hex}@example.com"
    await accounts.sign_up(address, PASSWORD, locale)
    await accounts.resend(address)
    first, second = await mails_to(database, address)
    assert first.subject == second.subject
    assert word in first.subject
    assert ISSUER in first.body_text
    assert re.search(r"#token=([\w-]+)", first.body_text)[1] not in first.subject


async def test_addresses_have_one_spelling(accounts, email):
    """Case and surrounding space make no second account."""
    with pytest.raises(Conflict):
        await accounts.create_user(f"  {email.upper()} ", PASSWORD)


async def test_an_access_token_names_its_session_and_user(logins, authentication, email):
    """A token from a login authenticates as its user, who has all scopes."""
    tokens = await logins.log_in(email, PASSWORD, HERE)
    principal = await authentication.authenticate(f"Bearer {tokens.access_token}")
    assert (principal.email, principal.role, set(principal.scopes)) == (email, "user", {"read", "write"})


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer a.b.c", "Bearer tsk_x", "Bearer x" * 3000])
async def test_bad_authorization_is_one_answer(authentication, header):
    """Whatever is wrong with the header, the error is the same."""
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(header)


async def test_log_out_ends_both_tokens_at_once(logins, sessions, authentication, email):
    """After log-out the access token is refused on the next request and the refresh token gives nothing."""
    tokens = await logins.log_in(email, PASSWORD, HERE)
    await sessions.log_out(await authentication.authenticate(f"Bearer {tokens.access_token}"), HERE)
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(f"Bearer {tokens.access_token}")
    with pytest.raises(Unauthenticated):
        await sessions.refresh(tokens.refresh_token, HERE)


async def test_twenty_refreshes_at_once_give_one_pair(logins, sessions, authentication, email):
    """Parallel refreshes with one token all get the same successor, and it works."""
    tokens = await logins.log_in(email, PASSWORD, HERE)
    pairs = await asyncio.gather(*(sessions.refresh(tokens.refresh_token, HERE) for _ in range(20)))
    assert len({pair.refresh_token for pair in pairs}) == 1
    assert (await authentication.authenticate(f"Bearer {pairs[0].access_token}")).email == email
    assert (await sessions.refresh(pairs[0].refresh_token, HERE)).refresh_token != pairs[0].refresh_token


async def test_reuse_after_the_successor_was_used_revokes_everything(logins, sessions, authentication, email, database):
    """A spent token whose successor is in use is a theft: all sessions end and the owner is told."""
    first = await logins.log_in(email, PASSWORD, HERE)
    other = await logins.log_in(email, PASSWORD, HERE)
    second = await sessions.refresh(first.refresh_token, HERE)
    third = await sessions.refresh(second.refresh_token, HERE)
    with pytest.raises(Unauthenticated):
        await sessions.refresh(first.refresh_token, HERE)
    for access in (third.access_token, other.access_token):
        with pytest.raises(Unauthenticated):
            await authentication.authenticate(f"Bearer {access}")
    assert "compromised" in {mail.purpose for mail in await mails_to(database, email)}
    again = await logins.log_in(email, PASSWORD, HERE)
    assert isinstance(again, SecondFactorDue)
    assert again.methods == ("mail",)


async def test_failed_logins_are_slowed_down_not_locked(logins, email):
    """After ten failures even the right password waits, and is told how long."""
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await logins.log_in(email, "wrong wrong wrong", Origin())
    with pytest.raises(TooManyRequests) as refused:
        await logins.log_in(email, PASSWORD, Origin())
    assert 1 <= refused.value.retry_after_s <= 900


async def test_api_keys_authenticate_until_revoked(api_keys, authentication, logins, email):
    """A key works with its scopes, is listed without its secret, may not act as a session, and ends at once."""
    mina = await principal_of(email, logins, authentication)
    made = await api_keys.create(mina, HERE, name="ci", scopes=["read"], expires_at=None)
    principal = await authentication.authenticate(f"Bearer {made['key']}")
    assert principal.scopes == ("read",)
    for permission in ("write", "session", "admin"):
        with pytest.raises(Forbidden):
            principal.require(permission)
    (listed,) = await api_keys.list(owner=mina.user_id, after=None, limit=50)
    assert "key" not in listed
    assert listed["id"] == made["id"]
    await api_keys.revoke(made["id"], mina, HERE)
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(f"Bearer {made['key']}")
    with pytest.raises(NotFound):
        await api_keys.revoke(made["id"], mina, HERE)


async def test_a_key_of_somebody_else_looks_missing(api_keys, authentication, logins, email):
    """Revoking a foreign key is the same NotFound as a made-up one."""
    mina = await principal_of(email, logins, authentication)
    made = await api_keys.create(mina, HERE, name="ci", scopes=["read"], expires_at=None)
    with pytest.raises(NotFound):
        await api_keys.revoke(made["id"], replace(mina, user_id=uuid4()), HERE)
    with pytest.raises(Invalid):
        await api_keys.create(mina, HERE, name="x", scopes=["read"], expires_at=SystemClock().now() - timedelta(days=1))


async def test_deleting_an_account_ends_it(accounts, authentication, logins, email):
    """A deleted user's token is refused on the next request, and the address is free again."""
    tokens = await logins.log_in(email, PASSWORD, HERE)
    principal = await authentication.authenticate(f"Bearer {tokens.access_token}")
    await accounts.delete(principal, HERE)
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(f"Bearer {tokens.access_token}")
    await accounts.create_user(email, PASSWORD)


async def test_profile_changes_are_checked(accounts, authentication, logins, email):
    """Time zones are IANA names; what is changed is answered."""
    owner = (await principal_of(email, logins, authentication)).user_id
    assert (await accounts.change(owner=owner, changes={"timezone": "Asia/Seoul"}))["timezone"] == "Asia/Seoul"
    with pytest.raises(Invalid):
        await accounts.change(owner=owner, changes={"timezone": "Mars/Olympus"})


async def test_deleting_an_account_shreds_its_keys(mina, accounts):
    """Data keys, factors, sessions, keys and tokens are gone; the trail stays, and a mail says so."""
    tokens = await mina.enrol()
    me = await mina.who(tokens)
    await mina.services.api_keys.create(me, HERE, name="k", scopes=["read"], expires_at=None)
    owner = mina.id
    count = "SELECT count(*) AS n FROM {} WHERE user_id = %(owner)s"
    tables = (
        "data_keys",
        "totp_factors",
        "recovery_codes",
        "sessions",
        "refresh_tokens",
        "api_keys",
        "one_time_tokens",
    )
    assert all(mina.sql(count.format(table), owner=owner)[0]["n"] for table in tables)
    await accounts.delete(me, HERE)
    assert [mina.sql(count.format(table), owner=owner)[0]["n"] for table in tables] == [0] * len(tables)
    assert mina.sql("SELECT action FROM audit WHERE user_id = %(owner)s ORDER BY at DESC LIMIT 1", owner=owner) == [
        {"action": "account.delete"}
    ]
    assert [mail.purpose for mail in await mina.mails()][-1] == "deleted"
