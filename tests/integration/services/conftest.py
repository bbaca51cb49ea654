"""Services on a real database, with a master key of the test's own."""

from uuid import uuid4

import pytest

from taske_ray.clock import SystemClock
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.vault import Keyring, new_master_key, read_master_key
from taske_ray.services.accounts import AccountRules, Accounts
from taske_ray.services.api_keys import ApiKeys
from taske_ray.services.authentication import Authentication
from taske_ray.services.sealing import Sealer
from taske_ray.services.sessions import Sessions
from taske_ray.services.signing import PublicKeys, SigningKeys

ISSUER = "http://taske.test"
PASSWORD = "seven green bottles"
_master = read_master_key(new_master_key())


@pytest.fixture
def keyring():
    return Keyring(_master)


@pytest.fixture
def sealer(database, keyring):
    return Sealer(database, keyring)


@pytest.fixture
def accounts(database):
    rules = AccountRules(verification_required=True, url=ISSUER)
    return Accounts(database, hashing=PasswordHashing(), rules=rules)


@pytest.fixture
def sessions(database, sealer):
    signing = SigningKeys(database, sealer)
    hashing = PasswordHashing()
    return Sessions(database, hashing=hashing, signing=signing, sealer=sealer, issuer=ISSUER, clock=SystemClock())


@pytest.fixture
def authentication(database):
    return Authentication(database, public_keys=PublicKeys(database), issuer=ISSUER, clock=SystemClock())


@pytest.fixture
def api_keys(database):
    return ApiKeys(database, clock=SystemClock())


@pytest.fixture
async def email(accounts):
    """The address of an active account; its password is PASSWORD."""
    address = f"{uuid4().hex}@example.com"
    await accounts.create_user(address, PASSWORD)
    return address
