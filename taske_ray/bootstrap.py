"""The composition root: settings in, services out. Picks every concrete class but the actors' side of the ports."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from taske_ray.catalog.registry import load_documents
from taske_ray.clock import Clock, SystemClock
from taske_ray.db.database import Database, Role
from taske_ray.db.embedded import database_url
from taske_ray.db.fires import FireStore
from taske_ray.db.oauth_clients import forget_clients
from taske_ray.errors import StartRefused
from taske_ray.integrations.sign_in.identity import IdentityProvider
from taske_ray.integrations.sign_in.providers import open_providers
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.sealed import VaultError
from taske_ray.security.vault import Keyring
from taske_ray.services.accounts import AccountRules, Accounts
from taske_ray.services.acts import Acts
from taske_ray.services.address_changes import AddressChanges
from taske_ray.services.api_keys import ApiKeys
from taske_ray.services.app_hooks import AppHooks
from taske_ray.services.authentication import Authentication
from taske_ray.services.authorizations import Authorizations
from taske_ray.services.backfills import Backfills
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.codes import Codes
from taske_ray.services.connection_authorizations import ConnectionAuthorizations
from taske_ray.services.connections import Connections
from taske_ray.services.deliveries import Deliveries
from taske_ray.services.entrance import Entrance
from taske_ray.services.explanations import Explanations
from taske_ray.services.firing import Firing
from taske_ray.services.hooks import Hooks
from taske_ray.services.idempotency import Idempotency
from taske_ray.services.identities import Identities
from taske_ray.services.invocations import Invocations
from taske_ray.services.linked_identities import LinkedIdentities
from taske_ray.services.logins import Logins
from taske_ray.services.master_key import ensure_master_key, open_keyring
from taske_ray.services.modules import Modules
from taske_ray.services.oauth_clients import OAuthClients
from taske_ray.services.objections import Objections
from taske_ray.services.passwords import Passwords
from taske_ray.services.plans import Plans
from taske_ray.services.ports import Calls, Consents, Farewells, Readiness, RunHosts, Watchers
from taske_ray.services.resolutions import Resolutions
from taske_ray.services.runs import Runs
from taske_ray.services.schedules import follow_zone_rules
from taske_ray.services.sealing import Sealer
from taske_ray.services.second_factors import SecondFactors
from taske_ray.services.sent_requests import SentRequests
from taske_ray.services.sessions import Sessions
from taske_ray.services.signing import PublicKeys, SigningKeys
from taske_ray.services.social_logins import SocialLogins
from taske_ray.services.tasks import Tasks
from taske_ray.services.trail import Trail
from taske_ray.services.users import Users
from taske_ray.settings import Settings
from taske_ray.standins.played import client_ids as played_client_ids
from taske_ray.standins.server import documents as played_documents


class Ports(Protocol):
    """The actors' side, as `actors/cluster_ports.py` connects it."""

    @property
    def run_hosts(self) -> RunHosts:
        """Who takes runs."""
        ...

    @property
    def watchers(self) -> Watchers:
        """Who watches triggers."""
        ...

    @property
    def calls(self) -> Calls:
        """Who calls other services."""
        ...

    @property
    def consents(self) -> Consents:
        """Who exchanges the codes of consents."""
        ...

    @property
    def readiness(self) -> Readiness:
        """Whether they all answer."""
        ...


@dataclass(frozen=True, slots=True)
class AccountServices:
    """What `/auth` calls."""

    accounts: Accounts
    logins: Logins
    entrance: Entrance
    social_logins: SocialLogins
    linked_identities: LinkedIdentities
    sessions: Sessions
    second_factors: SecondFactors
    passwords: Passwords
    address_changes: AddressChanges
    objections: Objections
    users: Users
    api_keys: ApiKeys
    acts: Acts
    public_keys: PublicKeys
    authentication: Authentication
    idempotency: Idempotency


@dataclass(frozen=True, slots=True)
class TaskServices:
    """What `/api/v1` calls."""

    tasks: Tasks
    backfills: Backfills
    plans: Plans
    explanations: Explanations
    runs: Runs
    resolutions: Resolutions
    connections: Connections
    connection_authorizations: ConnectionAuthorizations
    oauth_clients: OAuthClients
    modules: Modules
    app_hooks: AppHooks
    invocations: Invocations
    acts: Acts
    authentication: Authentication
    idempotency: Idempotency


def authentication_of(settings: Settings, database: Database) -> Authentication:
    """What tells who is calling; needs no key but the public ones."""
    return Authentication(database, public_keys=PublicKeys(database), issuer=settings.url, clock=SystemClock())


def identity_providers(settings: Settings, stack: AsyncExitStack) -> Mapping[str, IdentityProvider]:
    """The providers that people log in with; what they call through is closed with the stack. Raises StartRefused."""
    providers, transport = open_providers(settings, clock=SystemClock())
    if transport is not None:
        stack.push_async_callback(transport.close)
    return providers


def account_services(
    settings: Settings,
    database: Database,
    keyring: Keyring,
    providers: Mapping[str, IdentityProvider],
    clock: Clock | None = None,
    farewells: Farewells | None = None,
) -> AccountServices:
    """The services of `/auth`; the keyring needs the purpose `auth`."""
    sealer, clock, hashing = Sealer(database, keyring), clock or SystemClock(), PasswordHashing()
    public_keys, url = PublicKeys(database), settings.url
    rules = AccountRules(settings.signup == "open", settings.require_email_verification, url)
    sessions = Sessions(database, signing=SigningKeys(database, sealer), sealer=sealer, issuer=url, clock=clock)
    codes = Codes(database, hashing=hashing, sealer=sealer, clock=clock, url=url)
    entrance = Entrance(database, sessions=sessions, codes=codes, url=url)
    tag_key = keyring.derived("auth", "tags of wrong passwords")
    return AccountServices(
        accounts=Accounts(database, hashing=hashing, rules=rules, farewells=farewells),
        logins=Logins(database, hashing=hashing, entrance=entrance, codes=codes, tag_key=tag_key),
        entrance=entrance,
        social_logins=SocialLogins(
            database,
            providers=providers,
            authorizations=Authorizations(database, sealer, purpose="login", vault="auth"),
            identities=Identities(database, rules=rules),
            entrance=entrance,
            url=url,
        ),
        linked_identities=LinkedIdentities(database, providers=providers, url=url),
        sessions=sessions,
        second_factors=SecondFactors(database, hashing=hashing, sealer=sealer, codes=codes, sessions=sessions, url=url),
        passwords=Passwords(database, hashing=hashing, codes=codes, sessions=sessions, url=url),
        address_changes=AddressChanges(database, url=url),
        objections=Objections(database, url=url),
        users=Users(database, sessions=sessions, verification_required=settings.require_email_verification),
        api_keys=ApiKeys(database, clock=clock),
        acts=Acts(database),
        public_keys=public_keys,
        authentication=Authentication(database, public_keys=public_keys, issuer=url, clock=clock),
        idempotency=Idempotency(database, sealer, purpose="auth"),
    )


def task_services(
    settings: Settings, database: Database, keyring: Keyring, ports: Ports, store: FireStore
) -> TaskServices:
    """The services of `/api/v1`; the keyring needs the purposes `hooks` and `credentials`.

    `store` is opened in the engine's role: its batches mix users.
    """
    sealer, cache, clock = Sealer(database, keyring), CapabilityCache(database), SystemClock()
    firing = Firing(store, ports.run_hosts, settings.limits)
    authorizations = ConnectionAuthorizations(
        database,
        cache=cache,
        sealer=sealer,
        consents=ports.consents,
        watchers=ports.watchers,
        clock=clock,
        url=settings.url,
        cautious=settings.limits.profile == "public",
    )
    tasks = Tasks(
        database,
        cache=cache,
        hooks=Hooks(sealer, url=settings.url),
        firing=firing,
        watchers=ports.watchers,
        limits=settings.limits,
        reachable=settings.public_url is not None,
    )
    return TaskServices(
        tasks=tasks,
        backfills=Backfills(database, tasks=tasks, firing=firing),
        plans=Plans(database, cache=cache, tasks=tasks),
        explanations=Explanations(database, tasks=tasks, cache=cache, limits=settings.limits),
        runs=Runs(database, firing=firing, sent=SentRequests(database, cache=cache)),
        resolutions=Resolutions(database, hosts=ports.run_hosts),
        connections=Connections(
            database,
            cache=cache,
            sealer=sealer,
            calls=ports.calls,
            consents=ports.consents,
            watchers=ports.watchers,
        ),
        connection_authorizations=authorizations,
        oauth_clients=OAuthClients(database, cache=cache, sealer=sealer, redirect_uri=authorizations.redirect_uri),
        modules=Modules(database, cache),
        app_hooks=AppHooks(database, cache=cache, sealer=sealer, url=settings.url),
        invocations=Invocations(database, cache=cache, calls=ports.calls, clock=clock, limits=settings.limits),
        acts=Acts(database),
        authentication=authentication_of(settings, database),
        idempotency=Idempotency(database, sealer, purpose="hooks"),
    )


def deliveries(
    settings: Settings, database: Database, keyring: Keyring, hosts: RunHosts, store: FireStore, trail: Trail
) -> Deliveries:
    """The service of `/hooks`; the keyring needs the purpose `hooks`."""
    return Deliveries(
        database,
        store=store,
        firing=Firing(store, hosts, settings.limits),
        cache=CapabilityCache(database),
        sealer=Sealer(database, keyring),
        clock=SystemClock(),
        trail=trail,
        limits=settings.limits,
    )


async def open_database(
    settings: Settings, stack: AsyncExitStack, *, rows: int, hot: int, role: Role | None
) -> Database:
    """The instance's database with this many connections at most, closed with the stack.

    `role` is what this process may do (`migrations/roles.sql`); None is the operator: migrations, the start, commands.
    """
    database = await Database(database_url(settings), row_connections=rows, hot_connections=hot, role=role).open()
    stack.push_async_callback(database.close)
    return database


def open_store(settings: Settings, database: Database, stack: AsyncExitStack) -> FireStore:
    """What records events; with the stack it commits what it accepted."""
    store = FireStore(database, limits=settings.limits)
    stack.push_async_callback(store.close)
    return store


def open_trail(database: Database, stack: AsyncExitStack) -> Trail:
    """What writes down acts that nobody waits for; with the stack it writes what is left."""
    trail = Trail(database)
    stack.push_async_callback(trail.close)
    return trail


def prepare(settings: Settings) -> None:
    """Make a migrated database usable: master key, signing key, catalog, time zone rules.

    With `demo_url` the modules that the stand-ins play point there (origin `demo`); without it the catalog's own come
    back. Raises StartRefused, Invalid, Unavailable.
    """
    ensure_master_key(settings)
    asyncio.run(_prepare(settings))


async def _prepare(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        database = await open_database(settings, stack, rows=1, hot=1, role=None)
        await _open_signing_key(settings, database)
        shipped = load_documents()
        played = [] if settings.demo_url is None else played_documents(shipped, settings.demo_url)
        await _sync(database, shipped, played)
        if settings.demo_url is None:
            async with database.transaction() as tx:  # what the demo was registered as is nothing at the real providers
                await forget_clients(tx, played_client_ids())
        await follow_zone_rules(database)


async def _open_signing_key(settings: Settings, database: Database) -> None:
    """Make it, or see that our master key opens it, before anything else is written. Raises StartRefused."""
    try:
        await SigningKeys(database, Sealer(database, open_keyring(settings, ["auth"]))).current()
    except VaultError as error:
        message = (
            "The master key is not the one that this database's secrets are sealed with: set TASKE_MASTER_KEY to that"
            f" one, and after a rotation keep the earlier ones in TASKE_MASTER_KEY_OLD ({error.message})"
        )
        raise StartRefused(message) from None


async def _sync(database: Database, shipped: Sequence[dict[str, Any]], played: Sequence[dict[str, Any]]) -> None:
    modules = Modules(database, CapabilityCache(database))
    names = {document["module"] for document in played}
    await modules.sync_catalog([document for document in shipped if document["module"] not in names])
    await modules.sync_catalog(played, "demo")
