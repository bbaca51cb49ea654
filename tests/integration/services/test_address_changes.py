"""Another e-mail address: confirmed at the new one, reported to the old one (security, 6.6)."""

import asyncio
from uuid import uuid4

import pytest

from taske_ray.errors import Conflict, Invalid, Unauthenticated
from taske_ray.services.entrance import SecondFactorDue

pytestmark = pytest.mark.integration


@pytest.fixture
def new():
    return f"{uuid4().hex}@example.org"


async def asked(person, new):
    await person.services.address_changes.request(await person.come_in(), new, person.here)
    return await person.mailed_token("new_address", to=new.strip().lower())


async def test_the_address_changes_when_the_new_one_confirms(mina, services, new):
    """Until then nothing does; afterwards logins use the new one, and the old one is told."""
    old, token = mina.email, await asked(mina, f" {new.upper()}")
    assert (await mina.log_in()).access_token
    await services.address_changes.confirm(token, mina.here)
    with pytest.raises(Unauthenticated):
        await mina.log_in()
    mina.email = new
    assert (await mina.log_in()).access_token
    assert len(await mina.mails("address_changed", to=old)) == 1
    with pytest.raises(Invalid):
        await services.address_changes.confirm(token, mina.here)
    assert {"address.request", "address.change"} <= set(mina.audited())


async def test_a_taken_address_is_told_instead(mina, services, new):
    """The one who asks sees no difference; the account that has the address gets a mail, and no token goes out."""
    await services.accounts.create_user(new, mina.password)
    await services.address_changes.request(await mina.come_in(), new, mina.here)
    assert [mail.purpose for mail in await mina.mails(to=new)] == ["known"]


async def test_an_address_that_was_taken_meanwhile_is_a_conflict(mina, services, new):
    """Both keep what they have."""
    token = await asked(mina, new)
    await services.accounts.create_user(new, mina.password)
    with pytest.raises(Conflict):
        await services.address_changes.confirm(token, mina.here)
    assert (await mina.log_in()).access_token


async def test_only_the_last_request_counts(mina, services, new):
    """A second request voids the token of the first; fifty confirmations are one."""
    first = await asked(mina, f"first-{new}")
    second = await asked(mina, new)
    with pytest.raises(Invalid):
        await services.address_changes.confirm(first, mina.here)
    outcomes = await asyncio.gather(
        *(services.address_changes.confirm(second, mina.here) for _ in range(50)), return_exceptions=True
    )
    assert sum(one is None for one in outcomes) == 1


async def test_links_to_the_old_address_are_void_after_the_change(mina, services, new):
    """A reset that was mailed to the old address no longer opens the account."""
    await services.passwords.forget(mina.email, mina.here)
    link = await mina.mailed_token("reset")
    await services.address_changes.confirm(await asked(mina, new), mina.here)
    with pytest.raises(Invalid):
        await services.passwords.reset(link, "nine blue bottles on a wall", None, mina.here)


async def test_the_old_address_gets_the_account_back(mina, services, new):
    """An objection from there restores it, takes off codes that the thief enrolled since, and ends all sessions."""
    old = mina.email
    await services.address_changes.confirm(await asked(mina, new), mina.here)
    mina.email = new
    thief = await mina.enrol()
    await services.objections.by_mail(await mina.mailed_token("address_changed", to=old), mina.here)
    with pytest.raises(Unauthenticated):
        await mina.who(thief)
    mina.email = old
    due = await mina.log_in()
    assert isinstance(due, SecondFactorDue)
    assert due.methods == ("mail",)
    assert (
        await services.entrance.after_second_factor(due.challenge, await mina.mailed_code(), mina.here)
    ).password_due
    assert len(await mina.mails("compromised", to=old)) == 1


async def test_bad_addresses_are_refused(mina, services):
    """With a pointer."""
    with pytest.raises(Invalid) as refused:
        await services.address_changes.request(await mina.come_in(), "nowhere", mina.here)
    assert refused.value.errors[0].pointer == "/email"
