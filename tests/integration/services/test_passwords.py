"""Changing and resetting a password (security, 6.5, 6.6, 4.8 and 2.5)."""

import asyncio

import pytest

from taske_ray.errors import Forbidden, Invalid, TooManyRequests, Unauthenticated

pytestmark = pytest.mark.integration
NEW = "nine blue bottles on a wall"


async def reset(person, token, password=NEW, code=None):
    await person.services.passwords.reset(token, password, code, person.here)


async def asked(person):
    """A token to reset the password, as it was mailed."""
    await person.services.passwords.forget(person.email, person.here)
    return await person.mailed_token("reset")


async def test_a_change_ends_every_session_but_a_new_one(mina, services):
    """The old password and all old tokens are dead, the new pair works, older reset links are void, a mail says so."""
    link = await asked(mina)
    other, tokens = await mina.log_in(), await mina.log_in()
    fresh = await services.passwords.change(await mina.who(tokens), NEW, mina.here)
    for dead in (other, tokens):
        with pytest.raises(Unauthenticated):
            await mina.who(dead)
        with pytest.raises(Unauthenticated):
            await services.sessions.refresh(dead.refresh_token, mina.here)
    assert (await mina.who(fresh)).email == mina.email
    with pytest.raises(Unauthenticated):
        await mina.log_in()
    assert (await mina.log_in(NEW)).access_token
    with pytest.raises(Invalid):
        await reset(mina, link)
    assert len(await mina.mails("password_changed")) == 1
    assert "password.change" in mina.audited()


async def test_a_change_does_not_make_a_session_more_recent(mina, services):
    """What replaces the session was authenticated when that was."""
    tokens = await mina.log_in()
    mina.sql("UPDATE sessions SET authenticated_at = authenticated_at - interval '9 minutes' WHERE user_id = %(id)s")
    fresh = await services.passwords.change(await mina.who(tokens), NEW, mina.here)
    assert (await mina.who(fresh)).recent
    mina.sql("UPDATE sessions SET authenticated_at = authenticated_at - interval '2 minutes' WHERE user_id = %(id)s")
    assert not (await mina.who(fresh)).recent


@pytest.mark.parametrize(
    ("password", "code"), [("short", "too_short"), ("password", "too_common"), ("taske-taske", "too_personal")]
)
async def test_a_new_password_keeps_the_rules(mina, services, password, code):
    """At a change and at a reset; a refused reset spends nothing."""
    me, token = await mina.come_in(), await asked(mina)
    for act in (services.passwords.change(me, password, mina.here), reset(mina, token, password)):
        with pytest.raises(Invalid) as refused:
            await act
        assert refused.value.errors[0].code == code
    await reset(mina, token)


async def test_a_reset_lets_the_owner_in_and_nobody_else(mina):
    """It works once, for 30 minutes; it ends all sessions, logs nobody in, and forgives what was counted."""
    tokens, older, token = await mina.log_in(), await asked(mina), await asked(mina)
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await mina.log_in("wrong wrong wrong")
    with pytest.raises(TooManyRequests):
        await mina.log_in()
    assert await reset(mina, token) is None
    with pytest.raises(Unauthenticated):
        await mina.who(tokens)
    assert (await mina.log_in(NEW)).access_token
    for dead in (token, older, "made up", ""):
        with pytest.raises(Invalid) as refused:
            await reset(mina, dead)
        assert (refused.value.errors[0].pointer, refused.value.errors[0].code) == ("/token", "bad_token")
    late = await asked(mina)
    (row,) = mina.sql(
        "SELECT expires_at - clock_timestamp() AS lives FROM one_time_tokens"
        " WHERE user_id = %(id)s AND purpose = 'reset' AND used_at IS NULL"
    )
    assert 1790 < row["lives"].total_seconds() <= 1800
    mina.sql("UPDATE one_time_tokens SET expires_at = clock_timestamp() WHERE user_id = %(id)s")
    with pytest.raises(Invalid):
        await reset(mina, late)
    assert len(await mina.mails("password_changed")) == 1


async def test_fifty_resets_with_one_token_are_one(mina):
    """The token is spent by one statement."""
    token = await asked(mina)
    outcomes = await asyncio.gather(
        *(reset(mina, token, f"{NEW} {number}") for number in range(30)), return_exceptions=True
    )
    assert sum(one is None for one in outcomes) == 1
    assert all(one is None or isinstance(one, Invalid | TooManyRequests) for one in outcomes)


async def test_a_token_is_good_for_its_purpose_only(mina, services, accounts):
    """A token to verify resets nothing, and the other way round."""
    token = await asked(mina)
    for act in (
        accounts.verify(token),
        services.objections.by_mail(token, mina.here),
        services.address_changes.confirm(token, mina.here),
    ):
        with pytest.raises(Invalid):
            await act
    await reset(mina, token)
    with pytest.raises(Invalid):
        await reset(mina, await mina.mailed_token("password_changed"))


async def test_a_reset_needs_the_second_factor_where_one_is_enrolled(mina):
    """Without a code it is refused and the token stays good; with a wrong one, too; a right one is then spent."""
    await mina.enrol()
    token = await asked(mina)
    with pytest.raises(Forbidden) as refused:
        await reset(mina, token)
    assert refused.value.code == "second_factor_required"
    with pytest.raises(Unauthenticated):
        await reset(mina, token, code="000000")
    code = mina.code()
    await reset(mina, token, code=code)
    due = await mina.log_in(NEW)
    with pytest.raises(Unauthenticated):
        await mina.services.entrance.after_second_factor(due.challenge, code, mina.here)
    await reset(mina, await asked(mina), f"{NEW}!", mina.recovery_codes[0])


async def test_an_account_without_a_password_gets_one_by_reset(mina):
    """Whoever reads the mail of an account that only a provider opened may set a password."""
    mina.sql("UPDATE users SET password_hash = NULL WHERE id = %(id)s")
    await reset(mina, await asked(mina))
    assert (await mina.log_in(NEW)).access_token


async def test_a_disabled_account_is_mailed_nothing_and_resets_nothing(mina):
    """The answer to asking is the same."""
    token = await asked(mina)
    mina.sql("UPDATE users SET status = 'disabled' WHERE id = %(id)s")
    await mina.services.passwords.forget(mina.email, mina.here)
    assert len(await mina.mails("reset")) == 1
    with pytest.raises(Invalid):
        await reset(mina, token)


async def test_five_mails_an_hour_with_unchanged_answers(mina, services):
    """Twelve at once and one after the other: five mails, none later until the hour is over."""
    await asyncio.gather(*(services.passwords.forget(mina.email, mina.here) for _ in range(12)))
    await services.passwords.forget(f" {mina.email.upper()}", mina.here)
    assert len(await mina.mails("reset")) == 5
    mina.sql("UPDATE mails SET created_at = created_at - interval '1 hour'")
    await services.passwords.forget(mina.email, mina.here)
    assert len(await mina.mails("reset")) == 6
