"""Services on a real database, with a master key of the test's own."""

from uuid import uuid4

import pytest

from taske_ray.bootstrap import account_services
from taske_ray.clock import SystemClock
from taske_ray.security.vault import Keyring, new_master_key, read_master_key
from taske_ray.services.authentication import Authentication
from taske_ray.services.sealing import Sealer
from taske_ray.services.signing import PublicKeys
from taske_ray.settings import Settings

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
def services(auth_database, keyring, tmp_path):
    """Everything behind `/auth`, as it is put together; addresses must be verified."""
    settings = Settings(tmp_path, public_url=ISSUER, require_email_verification=True)
    return account_services(settings, auth_database, keyring, {})


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
def authentication(api_database):
    return Authentication(api_database, public_keys=PublicKeys(api_database), issuer=ISSUER, clock=SystemClock())


@pytest.fixture
def api_keys(services):
    return services.api_keys


@pytest.fixture
async def email(accounts):
    """The address of an active account; its password is PASSWORD."""
    address = f"{uuid4().hex}@example.com"
    await accounts.create_user(address, PASSWORD)
    return address
