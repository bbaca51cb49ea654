"""Sessions: rotation of refresh tokens, what two tabs and what a thief look like, the list (security, 4)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.errors import NotFound, Unauthenticated
from taske_ray.security.tokens import digest
from taske_ray.services.sessions import Sessions
from taske_ray.services.signing import SigningKeys

pytestmark = pytest.mark.integration
_month_s, _quarter_s = 30 * 24 * 3600, 90 * 24 * 3600


async def assert_dead(person, *tokens):
    for one in tokens:
        with pytest.raises(Unauthenticated):
            await person.who(one)
        with pytest.raises(Unauthenticated):
            await person.services.sessions.refresh(one.refresh_token, person.here)


async def test_a_login_is_a_new_session_and_its_tokens_live_as_long_as_they_say(mina):
    """Two logins are two sessions; a refresh token lives 30 days, the access token ten minutes."""
    one, two = await mina.log_in(), await mina.log_in()
    assert (await mina.who(one)).session_id != (await mina.who(two)).session_id
    assert (one.refresh_lives_s, one.expires_in) == (_month_s, 600)
    (row,) = mina.sql("SELECT max(expires_at - created_at) AS lives FROM sessions WHERE user_id = %(id)s")
    assert abs(row["lives"].total_seconds() - _quarter_s) < 1


async def test_grace_ends_with_the_use_of_the_successor(mina):
    """Even if what is kept of the successor were still there: whoever comes with the old token then is a thief."""
    first = await mina.log_in()
    second = await mina.services.sessions.refresh(first.refresh_token, mina.here)
    kept = mina.sql("SELECT successor_sealed FROM refresh_tokens WHERE user_id = %(id)s AND used_at IS NOT NULL")
    third = await mina.services.sessions.refresh(second.refresh_token, mina.here)
    again = "UPDATE refresh_tokens SET successor_sealed = %(kept)s WHERE user_id = %(id)s AND hash = %(first)s"
    mina.sql(again, kept=bytes(kept[0]["successor_sealed"]), first=digest(first.refresh_token))
    with pytest.raises(Unauthenticated):
        await mina.services.sessions.refresh(first.refresh_token, mina.here)
    await assert_dead(mina, second, third)


async def test_no_refresh_token_outlives_its_session(mina):
    """Thirty days slide, ninety do not: near the end of the session a token lives for what is left, then no more."""
    tokens = await mina.log_in()
    mina.sql("UPDATE sessions SET expires_at = clock_timestamp() + interval '5 days' WHERE user_id = %(id)s")
    near = await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    assert near.refresh_lives_s == 5 * 24 * 3600
    mina.sql("UPDATE sessions SET expires_at = clock_timestamp() WHERE user_id = %(id)s")
    await assert_dead(mina, near)


async def test_twenty_refreshes_at_once_give_one_pair(mina, services, other_process, sealer, clock):
    """From two processes, too: one successor for all, which works; nobody is alarmed."""
    elsewhere = Sessions(
        other_process,
        signing=SigningKeys(other_process, sealer),
        sealer=sealer,
        issuer="http://taske.test",
        clock=clock,
    )
    tokens = await mina.log_in()
    pairs = await asyncio.gather(
        *((services.sessions, elsewhere)[n % 2].refresh(tokens.refresh_token, mina.here) for n in range(20))
    )
    assert len({pair.refresh_token for pair in pairs}) == 1
    assert all(pair.refresh_lives_s in (_month_s, _month_s - 1) for pair in pairs)
    assert (await mina.who(pairs[7])).email == mina.email
    assert (await services.sessions.refresh(pairs[0].refresh_token, mina.here)).refresh_token
    assert await mina.mails("compromised") == []


async def test_a_spent_token_is_a_theft_after_ten_seconds(mina):
    """The successor is unused, but the grace is over: everything ends."""
    tokens = await mina.log_in()
    pair = await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    mina.sql("UPDATE refresh_tokens SET used_at = used_at - interval '10 seconds' WHERE user_id = %(id)s")
    with pytest.raises(Unauthenticated):
        await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    await assert_dead(mina, pair)
    assert len(await mina.mails("compromised")) == 1


async def test_a_spent_token_is_a_theft_once_its_successor_was_used(mina):
    """Within ten seconds, too: all sessions of the account end, the mark is set, the owner is told once."""
    other, tokens = await mina.log_in(), await mina.log_in()
    second = await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    third = await mina.services.sessions.refresh(second.refresh_token, mina.here)
    for _ in range(3):  # the family is dead by the second time: no further alarm
        with pytest.raises(Unauthenticated):
            await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    await assert_dead(mina, third, other)
    assert len(await mina.mails("compromised")) == 1
    assert mina.audited().count("account.compromised") == 1
    assert mina.sql("SELECT compromised_at IS NOT NULL AS marked FROM users WHERE id = %(id)s")[0]["marked"]


async def test_an_old_token_of_a_dead_family_alarms_nobody(mina):
    """After a log-out a spent token is refused and that is all: otherwise who kept one could end sessions for ever."""
    tokens = await mina.log_in()
    pair = await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    await mina.services.sessions.log_out(await mina.who(pair), mina.here)
    other = await mina.log_in()
    with pytest.raises(Unauthenticated):
        await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    assert (await mina.who(other)).email == mina.email


async def test_what_is_kept_of_a_successor_opens_nowhere_else_and_not_for_long(mina):
    """At rest there are digests and a sealed successor, which goes when it is used or the housekeeping comes by."""
    tokens = await mina.log_in()
    pair = await mina.services.sessions.refresh(tokens.refresh_token, mina.here)
    kept = "SELECT count(successor_sealed) AS n FROM refresh_tokens WHERE user_id = %(id)s"
    text = str(mina.sql("SELECT * FROM refresh_tokens WHERE user_id = %(id)s"))
    assert tokens.refresh_token not in text
    assert pair.refresh_token not in text
    assert mina.sql(kept) == [{"n": 1}]
    third = await mina.services.sessions.refresh(pair.refresh_token, mina.here)
    assert mina.sql(kept) == [{"n": 1}]
    mina.sql("UPDATE refresh_tokens SET used_at = used_at - interval '1 minute' WHERE user_id = %(id)s")
    mina.sql("SELECT prune_accounts()")
    assert mina.sql(kept) == [{"n": 0}]
    assert (await mina.services.sessions.refresh(third.refresh_token, mina.here)).refresh_token


async def test_the_list_shows_live_sessions_and_each_can_be_ended(mina, services):
    """Device, address and times of each, which one asks; ending one kills its tokens at once and no others."""
    one, two = await mina.log_in(), await mina.log_in()
    me = await mina.who(two)
    listed = await services.sessions.list(me, after=None, limit=50)
    assert [(row["current"], row["device"], row["address"], row["method"]) for row in listed] == [
        (True, "pytest", "192.0.2.1", "password"),
        (False, "pytest", "192.0.2.1", "password"),
    ]
    assert all(abs(datetime.now(UTC) - row["created_at"]) < timedelta(minutes=1) for row in listed)
    await services.sessions.end(listed[1]["id"], me, mina.here)
    await assert_dead(mina, one)
    assert [row["current"] for row in await services.sessions.list(me, after=None, limit=50)] == [True]
    for gone in (listed[1]["id"], "session_" + "0" * 32, "nonsense"):
        with pytest.raises(NotFound):
            await services.sessions.end(gone, me, mina.here)
    assert mina.audited()[-1] == "session.end"


async def test_a_session_of_somebody_else_cannot_be_ended(mina, services):
    """A foreign id looks like a missing one, and the session lives on."""
    stranger = f"stranger-{mina.email}"
    await services.accounts.create_user(stranger, mina.password)
    theirs = await services.logins.log_in(stranger, mina.password, mina.here)
    (row,) = await services.sessions.list(await mina.who(theirs), after=None, limit=50)
    with pytest.raises(NotFound):
        await services.sessions.end(row["id"], await mina.come_in(), mina.here)
    assert (await mina.who(theirs)).email == stranger


@pytest.mark.parametrize("change", ["role = 'admin'", "role = 'user'"])
async def test_a_change_of_role_acts_on_the_next_request(mina, change):
    """The role is read from the database with every request, not from the token."""
    tokens = await mina.log_in()
    mina.sql(f"UPDATE users SET {change} WHERE id = %(id)s")
    assert f"role = '{(await mina.who(tokens)).role}'" == change


async def test_a_login_beside_a_theft_does_not_slip_through(mina, services):
    """Logins and a reuse at the same time: no session that was begun before the mark is alive after it."""
    tokens = await mina.log_in()
    second = await services.sessions.refresh(tokens.refresh_token, mina.here)
    await services.sessions.refresh(second.refresh_token, mina.here)
    outcomes = await asyncio.gather(
        *(mina.log_in() for _ in range(6)),
        services.sessions.refresh(tokens.refresh_token, mina.here),
        *(mina.log_in() for _ in range(6)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[6], Unauthenticated)
    opened = [one for one in outcomes if hasattr(one, "access_token")]
    due = [one for one in outcomes if hasattr(one, "challenge")]
    assert len(opened) + len(due) == 12
    for one in opened:
        with pytest.raises(Unauthenticated):
            await mina.who(one)
