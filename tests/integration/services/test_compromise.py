"""An account that somebody else is in: what ends, what the next login needs, how it ends (security, 5)."""

import pytest

from taske_ray.errors import Invalid, NotFound, Unauthenticated
from taske_ray.services.entrance import SecondFactorDue

pytestmark = pytest.mark.integration
NEW = "nine blue bottles on a wall"


async def stolen(person):
    """A session whose refresh token was used by two: what its owner held, and a key that it made."""
    tokens = await person.log_in()
    me = await person.who(tokens)
    key = await person.services.api_keys.create(me, person.here, name="ci", scopes=["read"], expires_at=None)
    second = await person.services.sessions.refresh(tokens.refresh_token, person.here)
    third = await person.services.sessions.refresh(second.refresh_token, person.here)
    with pytest.raises(Unauthenticated):
        await person.services.sessions.refresh(tokens.refresh_token, person.here)
    return third, key["key"]


async def test_everything_of_the_thief_ends_at_once(mina, services, authentication):
    """The held access token, other sessions and the session's keys are refused; a key of another session lives."""
    other = await mina.who(await mina.log_in())
    kept = await services.api_keys.create(other, mina.here, name="older", scopes=["read"], expires_at=None)
    held, made_there = await stolen(mina)
    with pytest.raises(Unauthenticated):
        await mina.who(held)
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(f"Bearer {made_there}")
    assert (await authentication.authenticate(f"Bearer {kept['key']}")).email == mina.email
    (row,) = mina.sql("SELECT detail FROM audit WHERE user_id = %(id)s AND action = 'account.compromised'")
    assert row["detail"] == {"reason": "refresh_reuse", "keys_revoked": 1}


async def test_the_next_login_needs_a_code_by_mail(mina, services):
    """Eight digits, for this login, ten minutes, five tries; success clears the mark and asks for a new password."""
    await stolen(mina)
    one, two = await mina.log_in(), await mina.log_in()
    assert (one.methods, two.methods) == (("mail",), ("mail",))
    for_two = await mina.mailed_code()
    with pytest.raises(Unauthenticated):  # of the other login
        await services.entrance.after_second_factor(one.challenge, for_two, mina.here)
    (row,) = mina.sql(
        "SELECT max(expires_at - created_at) AS lives, min(octet_length(code_hash)) AS kept"
        " FROM login_challenges WHERE user_id = %(id)s"
    )
    assert (round(row["lives"].total_seconds()), row["kept"]) == (600, 32)
    assert all("code" not in mail.subject.lower() or for_two not in mail.subject for mail in await mina.mails())
    tokens = await services.entrance.after_second_factor(two.challenge, for_two, mina.here)
    assert tokens.password_due
    me = await mina.who(tokens)
    assert (await services.accounts.get(owner=me.user_id))["password_change_required"]
    assert mina.audited()[-3:] == ["second_factor.use", "account.cleared", "session.begin"]
    fresh = await services.passwords.change(me, NEW, mina.here)
    assert not fresh.password_due
    assert not (await services.accounts.get(owner=me.user_id))["password_change_required"]
    assert (await mina.log_in(NEW)).access_token


async def test_five_wrong_mailed_codes_end_the_login(mina, services):
    """The sixth is not looked at, though it is right."""
    await stolen(mina)
    due = await mina.log_in()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await services.entrance.after_second_factor(due.challenge, "00000000", mina.here)
    with pytest.raises(Unauthenticated):
        await services.entrance.after_second_factor(due.challenge, await mina.mailed_code(), mina.here)


async def test_an_enrolled_factor_is_what_a_marked_account_needs(mina, services):
    """No code is mailed where an app is enrolled, and a challenge from before the theft is dead."""
    tokens = await mina.enrol()
    before = await mina.log_in()
    second = await services.sessions.refresh(tokens.refresh_token, mina.here)
    await services.sessions.refresh(second.refresh_token, mina.here)
    with pytest.raises(Unauthenticated):
        await services.sessions.refresh(tokens.refresh_token, mina.here)
    with pytest.raises(Unauthenticated):
        await services.entrance.after_second_factor(before.challenge, mina.code(), mina.here)
    due = await mina.log_in()
    assert due.methods == ("totp", "recovery_code")
    assert (await services.entrance.after_second_factor(due.challenge, mina.code(), mina.here)).password_due
    assert await mina.mails("login_code") == []


async def test_who_has_reset_the_password_meanwhile_is_not_asked_again(mina, services):
    """The mark stays until a second factor clears it, but the password is new already."""
    await stolen(mina)
    await services.passwords.forget(mina.email, mina.here)
    await services.passwords.reset(await mina.mailed_token("reset"), NEW, None, mina.here)
    due = await mina.log_in(NEW)
    assert isinstance(due, SecondFactorDue)
    tokens = await services.entrance.after_second_factor(due.challenge, await mina.mailed_code(), mina.here)
    assert not tokens.password_due


async def test_an_owner_reports_a_session(mina, services, authentication):
    """This was not me: the reported session's keys and every session end, the reporting one too."""
    thief, owner = await mina.log_in(), await mina.log_in()
    made = await services.api_keys.create(await mina.who(thief), mina.here, name="x", scopes=["read"], expires_at=None)
    me = await mina.who(owner)
    rows = await services.sessions.list(me, after=None, limit=50)
    for nonsense in ("session_" + "0" * 32, "x"):
        with pytest.raises(NotFound):
            await services.objections.by_session(nonsense, me, mina.here)
    await services.objections.by_session(rows[1]["id"], me, mina.here)
    for dead in (thief, owner):
        with pytest.raises(Unauthenticated):
            await mina.who(dead)
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(f"Bearer {made['key']}")
    assert isinstance(await mina.log_in(), SecondFactorDue)


async def test_an_owner_objects_by_mail_to_a_changed_password(mina, services):
    """The token of the mail ends the thief's session; it is good once."""
    thief = await services.passwords.change(await mina.come_in(), NEW, mina.here)
    token = await mina.mailed_token("password_changed")
    await services.objections.by_mail(token, mina.here)
    with pytest.raises(Unauthenticated):
        await mina.who(thief)
    with pytest.raises(Invalid):
        await services.objections.by_mail(token, mina.here)
    assert isinstance(await mina.log_in(NEW), SecondFactorDue)


async def test_an_owner_objects_to_foreign_one_time_codes(mina, services):
    """A thief's app does not lock the owner out: the objection takes it off, the login needs a mailed code."""
    thief = await mina.enrol()
    await services.objections.by_mail(await mina.mailed_token("totp_on"), mina.here)
    with pytest.raises(Unauthenticated):
        await mina.who(thief)
    assert (await mina.log_in()).methods == ("mail",)
    assert mina.sql("SELECT count(*) AS n FROM recovery_codes WHERE user_id = %(id)s") == [{"n": 0}]


async def test_an_objection_leaves_codes_that_are_older_than_what_it_is_about(mina, services):
    """Who reads the mail of somebody with an app does not get rid of the app by objecting to a later change."""
    tokens = await mina.enrol()
    await services.passwords.change(await mina.who(tokens), NEW, mina.here)
    await services.objections.by_mail(await mina.mailed_token("password_changed"), mina.here)
    assert (await mina.log_in(NEW)).methods == ("totp", "recovery_code")
