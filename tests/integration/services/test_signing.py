"""The keys of access tokens: rotation by age and by command, and what the old one still verifies."""

import asyncio

import psycopg
import pytest

from taske_ray.clock import SystemClock
from taske_ray.core.ids import format_id
from taske_ray.db import keys
from taske_ray.errors import Unauthenticated
from taske_ray.security.sealed import VaultError
from taske_ray.security.vault import Keyring, new_master_key, purpose_keys, read_master_key
from taske_ray.services.authentication import Authentication
from taske_ray.services.origin import Origin, nowhere
from taske_ray.services.sealing import Sealer
from taske_ray.services.signing import PublicKeys, SigningKeys

pytestmark = pytest.mark.integration
PASSWORD = "seven green bottles"  # as in conftest.py
ISSUER = "http://taske.test"  # as in conftest.py


@pytest.fixture
def signing(database, sealer):
    return SigningKeys(database, sealer)


@pytest.fixture
async def token(logins, email):
    """An access token that was minted under the key of the moment."""
    return (await logins.log_in(email, PASSWORD, Origin())).access_token


def replica(database):
    """The authentication of another process, with caches of its own."""
    return Authentication(database, public_keys=PublicKeys(database), issuer=ISSUER, clock=SystemClock())


def change(url, statement):
    with psycopg.connect(url) as connection:
        return connection.execute(statement)


async def test_a_rotation_keeps_the_old_tokens_for_their_life(database, database_url, signing, logins, email, token):
    """By command: new tokens have the new key at once, in every process; old ones live on, both keys are shown."""
    other = SigningKeys(database, signing._sealer)
    old = (await other.current()).kid
    kid = await signing.rotate()
    assert kid != old
    assert (await other.current()).kid == kid
    assert list(await PublicKeys(database).read())[:2] == [kid, old]
    fresh = (await logins.log_in(email, PASSWORD, Origin())).access_token
    for access in (token, fresh):
        assert (await replica(database).authenticate(f"Bearer {access}")).email == email
    rest = change(database_url, f"SELECT retired_at - clock_timestamp() FROM signing_keys WHERE kid = '{old}'")
    assert 600 <= rest.fetchone()[0].total_seconds() <= 605


async def test_a_retired_key_is_refused_by_who_has_it_cached(database, database_url, signing, token, logins, email):
    """When the old key's time is over, the next request is refused, also where the key is still in memory."""
    warm = replica(database)
    await warm.authenticate(f"Bearer {token}")
    await signing.rotate()
    fresh = (await logins.log_in(email, PASSWORD, Origin())).access_token
    await warm.authenticate(f"Bearer {token}")
    change(database_url, "UPDATE signing_keys SET retired_at = clock_timestamp() WHERE retired_at IS NOT NULL")
    with pytest.raises(Unauthenticated):
        await warm.authenticate(f"Bearer {token}")
    assert (await warm.authenticate(f"Bearer {fresh}")).email == email


async def test_a_stolen_key_verifies_nothing_at_once(database, signing, token):
    """Rotation after a theft ends every token of the keys so far on the next request, in every process."""
    warm = replica(database)
    await warm.authenticate(f"Bearer {token}")
    kid = await signing.rotate(stolen=True)
    for process in (warm, replica(database)):
        with pytest.raises(Unauthenticated):
            await process.authenticate(f"Bearer {token}")
    assert list(await PublicKeys(database).read()) == [kid]


async def test_a_theft_ends_what_an_earlier_rotation_left(database, signing, token):
    """A key that was about to end in peace ends at once, too."""
    await signing.rotate()
    await signing.rotate(stolen=True)
    with pytest.raises(Unauthenticated):
        await replica(database).authenticate(f"Bearer {token}")


async def test_ninety_days_are_enough(database_url, signing):
    """A key signs for 90 days; who needs it afterwards makes the next one, once for many at a time."""
    kid = (await signing.current()).kid
    change(database_url, "UPDATE signing_keys SET created_at = clock_timestamp() - interval '89 days 23 hours'")
    assert (await signing.current()).kid == kid
    change(database_url, "UPDATE signing_keys SET created_at = clock_timestamp() - interval '90 days'")
    found = {key.kid for key in await asyncio.gather(*(signing.current() for _ in range(20)))}
    assert len(found) == 1
    assert kid not in found


async def test_keys_that_are_long_retired_are_forgotten(database_url, signing):
    """A private key is not kept for longer than a day after its last use."""
    old = (await signing.current()).kid
    await signing.rotate()
    change(database_url, f"UPDATE signing_keys SET retired_at = now() - interval '2 days' WHERE kid = '{old}'")
    await signing.rotate()
    assert change(database_url, f"SELECT count(*) FROM signing_keys WHERE kid = '{old}'").fetchone() == (0,)


async def test_rotation_is_written_down(database_url, signing):
    """Each rotation leaves an entry that names the new key."""
    kid = await signing.rotate()
    found = change(
        database_url, "SELECT object FROM audit WHERE action = 'signing_key.rotate' ORDER BY at DESC LIMIT 1"
    )
    assert found.fetchone() == (kid,)


async def test_a_private_key_opens_under_its_own_id_only(database, database_url, signing, sealer):
    """A row whose private half was exchanged, or read under another master key, signs nothing."""
    await signing.rotate()
    sealed = "SELECT sealed_private FROM signing_keys WHERE retired_at IS NOT NULL ORDER BY created_at DESC LIMIT 1"
    change(database_url, f"UPDATE signing_keys SET sealed_private = ({sealed}) WHERE retired_at IS NULL")
    with pytest.raises(VaultError):
        await SigningKeys(database, sealer).current()
    stranger = Sealer(database, Keyring(purpose_keys(read_master_key(new_master_key()))))
    with pytest.raises(VaultError):
        await SigningKeys(database, stranger).current()
    await signing.rotate()
    assert (await SigningKeys(database, sealer).current()).kid == (await signing.current()).kid


async def log_out(services, principal, **_):
    await services.sessions.log_out(principal, nowhere)


async def end_elsewhere(services, principal, **_):
    other = await services.logins.log_in(principal.email, PASSWORD, nowhere)
    by = await services.authentication.authenticate(f"Bearer {other.access_token}")
    await services.sessions.end(format_id("session", principal.session_id), by, nowhere)


async def change_password(services, principal, **_):
    await services.passwords.change(principal, "another long password 7", nowhere)


async def steal(services, _principal, *, tokens, **_):
    second = await services.sessions.refresh(tokens.refresh_token, nowhere)
    await services.sessions.refresh(second.refresh_token, nowhere)
    with pytest.raises(Unauthenticated):
        await services.sessions.refresh(tokens.refresh_token, nowhere)


async def object_to_session(services, principal, **_):
    other = await services.logins.log_in(principal.email, PASSWORD, nowhere)
    by = await services.authentication.authenticate(f"Bearer {other.access_token}")
    await services.objections.by_session(format_id("session", principal.session_id), by, nowhere)


async def promote(services, principal, **_):
    await services.accounts.set_role(principal.email, admin=True)


async def demote(services, principal, *, url, **_):
    change(url, f"UPDATE users SET role = 'admin' WHERE id = '{principal.user_id}'")
    await services.accounts.set_role(principal.email, admin=False)


async def delete(services, principal, **_):
    await services.accounts.delete(principal, nowhere)


async def disable(_services, principal, *, url, **_):
    change(url, f"UPDATE users SET status = 'disabled' WHERE id = '{principal.user_id}'")


async def expire(_services, principal, *, url, **_):
    change(url, f"UPDATE sessions SET expires_at = clock_timestamp() WHERE id = '{principal.session_id}'")


@pytest.mark.parametrize(
    "ending",
    [log_out, end_elsewhere, change_password, steal, object_to_session, promote, demote, delete, disable, expire],
)
async def test_what_ends_a_session_ends_its_tokens_at_once(api_database, database_url, services, email, ending):
    """Who holds an old token is refused on the next request, in every process, by access and by refresh token."""
    tokens = await services.logins.log_in(email, PASSWORD, nowhere)
    bearer = f"Bearer {tokens.access_token}"
    processes = [replica(api_database), replica(api_database)]
    for process in processes:
        principal = await process.authenticate(bearer)
    await ending(services, principal, tokens=tokens, url=database_url)
    for process in (*processes, replica(api_database)):
        with pytest.raises(Unauthenticated):
            await process.authenticate(bearer)
    with pytest.raises(Unauthenticated):
        await services.sessions.refresh(tokens.refresh_token, nowhere)


async def test_a_role_is_never_read_from_the_token(database, database_url, services, email):
    """Whatever way a role changes, it counts from the next request of the same token."""
    warm = replica(database)
    token = (await services.logins.log_in(email, PASSWORD, nowhere)).access_token
    for role in ("user", "admin", "user"):
        change(database_url, f"UPDATE users SET role = '{role}' WHERE email = '{email}'")
        assert (await warm.authenticate(f"Bearer {token}")).role == role


async def test_a_storm_of_unknown_keys_is_a_few_looks(database, monkeypatch, signing):
    """A thousand tokens that name keys of nobody cost a handful of reads, and a key made meanwhile is found."""
    looks = []
    real = keys.public_keys

    async def counted(tx):
        looks.append(1)
        return await real(tx)

    monkeypatch.setattr(keys, "public_keys", counted)
    public = PublicKeys(database)
    storm = [asyncio.create_task(public.all(wanted=f"nobody's {number}")) for number in range(1000)]
    kid = await signing.rotate()
    assert kid in await public.all(wanted=kid)
    await asyncio.gather(*storm)
    assert len(looks) <= 4
