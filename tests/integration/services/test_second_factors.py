"""Second factors: enrolment, codes that are good once, challenges, recovery codes (security, 6.1 to 6.4)."""

import asyncio
import re
from dataclasses import replace

import pyotp
import pytest

from taske_ray.errors import Conflict, Invalid, TooManyRequests, Unauthenticated
from taske_ray.services.entrance import SecondFactorDue
from taske_ray.services.sessions import Tokens

pytestmark = pytest.mark.integration


async def challenge_of(person):
    due = await person.log_in()
    assert isinstance(due, SecondFactorDue)
    return due.challenge


async def refused(person, challenge, code):
    with pytest.raises(Unauthenticated) as error:
        await person.services.entrance.after_second_factor(challenge, code, person.here)
    return error.value.code


async def test_enrolment_shows_the_secret_once_and_counts_from_the_first_code(mina, services):
    """160 bits, unused until a code is confirmed; then logins ask, and enrolling again is refused."""
    me = await mina.come_in()
    begun = await services.second_factors.enrol(me, mina.here)
    assert re.fullmatch(r"[A-Z2-7]{32}", begun["secret"])
    assert begun["uri"].startswith("otpauth://totp/Taske:")
    assert isinstance(await mina.log_in(), Tokens)  # not confirmed yet
    again = await services.second_factors.enrol(me, mina.here)
    assert again["secret"] != begun["secret"]
    mina.secret = begun["secret"]
    with pytest.raises(Invalid) as wrong:
        await services.second_factors.confirm(me, mina.code(), mina.here)  # of the secret that was replaced
    assert wrong.value.errors[0].pointer == "/code"
    mina.secret = again["secret"]
    codes, tokens = await services.second_factors.confirm(me, mina.code(), mina.here)
    assert len(codes) == len(set(codes)) == 10
    assert all(re.fullmatch(r"[A-Z2-7]{2}(-[A-Z2-7]{4}){4}", code) for code in codes)
    me = await mina.who(tokens)
    for act in (
        services.second_factors.enrol(me, mina.here),
        services.second_factors.confirm(me, mina.code(), mina.here),
    ):
        with pytest.raises(Conflict):
            await act
    kept = str(mina.sql("SELECT * FROM totp_factors NATURAL JOIN recovery_codes WHERE user_id = %(id)s"))
    assert again["secret"] not in kept
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    assert kept.count("$argon2id$") == 10


async def test_a_change_of_factor_ends_every_session_but_a_new_one(mina, services):
    """At enrolment and at removal: the acting session is replaced, all others end, the owner is told."""
    other = await mina.log_in()
    tokens = await mina.enrol()
    with pytest.raises(Unauthenticated):
        await mina.who(other)
    me = await mina.who(tokens)
    with pytest.raises(Invalid):
        await services.second_factors.remove(me, "000000", mina.here)
    after = await services.second_factors.remove(me, mina.code(), mina.here)
    with pytest.raises(Unauthenticated):
        await mina.who(tokens)
    assert (await mina.who(after)).email == mina.email
    assert isinstance(await mina.log_in(), Tokens)
    assert [len(await mina.mails(purpose)) for purpose in ("totp_on", "totp_off")] == [1, 1]
    with pytest.raises(Conflict):
        await services.second_factors.remove(await mina.who(after), "000000", mina.here)


async def test_a_challenge_is_no_session(mina, services, authentication):
    """It authenticates nothing and refreshes nothing; with a right code it opens one session, once."""
    await mina.enrol()
    challenge = await challenge_of(mina)
    with pytest.raises(Unauthenticated):
        await authentication.authenticate(f"Bearer {challenge}")
    with pytest.raises(Unauthenticated):
        await services.sessions.refresh(challenge, mina.here)
    tokens = await services.entrance.after_second_factor(challenge, mina.code(), mina.here)
    assert (await mina.who(tokens)).email == mina.email
    assert await refused(mina, challenge, mina.code()) == "bad_challenge"
    assert mina.sql("SELECT count(*) AS n FROM login_challenges WHERE hash = %(c)s", c=challenge.encode()) == [{"n": 0}]


async def test_each_code_is_good_once_and_for_its_step_and_the_next(mina, services):
    """The step before the current one passes, older and future ones do not, and no step twice."""
    await mina.enrol()
    mina.clock.ahead_s += 300
    totp, now = pyotp.TOTP(mina.secret), mina.clock.now().timestamp()
    mina.clock.ahead_s += 30 - now % 30 + 1  # just after a step has begun
    now = mina.clock.now().timestamp()
    challenge = await challenge_of(mina)
    for offset in (-90, -60, 30):
        assert await refused(mina, challenge, totp.at(now + offset)) == "wrong_code"
    await services.entrance.after_second_factor(challenge, totp.at(now - 30), mina.here)
    challenge = await challenge_of(mina)
    assert await refused(mina, challenge, totp.at(now - 30)) == "wrong_code"
    await services.entrance.after_second_factor(challenge, totp.at(now), mina.here)
    challenge = await challenge_of(mina)
    assert await refused(mina, challenge, totp.at(now)) == "wrong_code"
    assert await refused(mina, challenge, totp.at(now - 30)) == "wrong_code"


async def test_fifty_right_answers_at_once_give_one_session(mina, services):
    """One of them gets it, with a code of the app as with a recovery code."""
    await mina.enrol()
    for code in (mina.code(), mina.recovery_codes[0]):
        challenge = await challenge_of(mina)
        before = mina.sql("SELECT count(*) AS n FROM sessions WHERE user_id = %(id)s")[0]["n"]
        outcomes = await asyncio.gather(
            *(services.entrance.after_second_factor(challenge, code, mina.here) for _ in range(50)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Tokens) for one in outcomes) == 1
        assert all(isinstance(one, Tokens | Unauthenticated) for one in outcomes)
        assert mina.sql("SELECT count(*) AS n FROM sessions WHERE user_id = %(id)s")[0]["n"] == before + 1


async def test_one_code_does_not_open_two_challenges(mina, services):
    """Twenty logins at once with the same code: one session."""
    await mina.enrol()
    challenges = [await challenge_of(mina) for _ in range(20)]
    code = mina.code()
    outcomes = await asyncio.gather(
        *(services.entrance.after_second_factor(one, code, mina.here) for one in challenges), return_exceptions=True
    )
    assert sum(isinstance(one, Tokens) for one in outcomes) == 1


async def test_a_challenge_dies_after_five_wrong_codes_or_five_minutes(mina):
    """The right code is refused then."""
    await mina.enrol()
    challenge = await challenge_of(mina)
    for _ in range(5):
        assert await refused(mina, challenge, "000000") == "wrong_code"
    assert await refused(mina, challenge, mina.code()) == "bad_challenge"
    late = await challenge_of(mina)
    (row,) = mina.sql(
        "SELECT expires_at - created_at AS lives FROM login_challenges WHERE user_id = %(id)s AND tries = 0"
    )
    assert abs(row["lives"].total_seconds() - 300) < 1
    mina.sql("UPDATE login_challenges SET expires_at = clock_timestamp() WHERE user_id = %(id)s")
    assert await refused(mina, late, mina.code()) == "bad_challenge"


async def test_twenty_wrong_codes_a_day_bring_a_mail_and_a_delay(mina, services):
    """Over all challenges; the delay ends, and the owner gets in."""
    await mina.enrol()
    for _ in range(4):
        challenge = await challenge_of(mina)
        for _ in range(5):
            assert await refused(mina, challenge, "000000") == "wrong_code"
    assert len(await mina.mails("many_codes")) == 1
    challenge = await challenge_of(mina)
    with pytest.raises(TooManyRequests) as wait:
        await services.entrance.after_second_factor(challenge, mina.code(), mina.here)
    assert wait.value.retry_after_s == 1
    mina.sql("UPDATE code_failures SET failed_at = failed_at - interval '2 seconds' WHERE user_id = %(id)s")
    assert await services.entrance.after_second_factor(challenge, mina.code(), mina.here)
    assert mina.audited().count("second_factor.use refused") == 20


async def test_recovery_codes_work_once_each_however_they_are_typed(mina, services):
    """With or without hyphens and spaces, in any case; used or with another's label they are wrong."""
    await mina.enrol()
    first, second, third = mina.recovery_codes[:3]
    await services.entrance.after_second_factor(await challenge_of(mina), first.lower().replace("-", " "), mina.here)
    challenge = await challenge_of(mina)
    assert await refused(mina, challenge, first) == "wrong_code"
    assert await refused(mina, challenge, second[:2] + third[2:]) == "wrong_code"
    await services.entrance.after_second_factor(challenge, second, mina.here)


async def test_new_recovery_codes_void_the_old_ones(mina, services):
    """Enrolling again after a removal leaves nothing of the first set."""
    tokens = await mina.enrol()
    old = mina.recovery_codes[0]
    await services.second_factors.remove(await mina.who(tokens), mina.code(), mina.here)
    await mina.enrol()
    assert await refused(mina, await challenge_of(mina), old) == "wrong_code"


async def test_a_foreign_code_or_challenge_opens_nothing(mina, services):
    """A challenge is bound to its account: the code of another account is wrong there."""
    await mina.enrol()
    other = replace(mina, email=f"other-{mina.email}", secret="", recovery_codes=[])
    await services.accounts.create_user(other.email, other.password)
    await other.enrol()
    challenge = await challenge_of(other)
    assert await refused(other, challenge, mina.code()) == "wrong_code"
    assert await refused(other, challenge, mina.recovery_codes[0]) == "wrong_code"
    assert await refused(other, "made up", mina.code()) == "bad_challenge"


async def test_an_account_that_was_disabled_meanwhile_stays_out(mina):
    """Between the two factors, too."""
    await mina.enrol()
    challenge = await challenge_of(mina)
    mina.sql("UPDATE users SET status = 'disabled' WHERE id = %(id)s")
    assert await refused(mina, challenge, mina.code()) == "bad_challenge"


async def test_reauthentication_needs_the_code_too(mina, services):
    """With a factor enrolled the password alone does not make a session recent."""
    tokens = await mina.enrol()
    mina.sql("UPDATE sessions SET authenticated_at = authenticated_at - interval '1 hour' WHERE user_id = %(id)s")
    me = await mina.who(tokens)
    with pytest.raises(Invalid):
        await services.logins.reauthenticate(me, mina.password, None, mina.here)
    with pytest.raises(Invalid) as refused:
        await services.logins.reauthenticate(me, mina.password, "000000", mina.here)
    assert refused.value.errors[0].pointer == "/code"
    await services.logins.reauthenticate(me, mina.password, mina.code(), mina.here)
    assert (await mina.who(tokens)).recent
