"""`Taske` and `AsyncTaske`: everything a user can do with a service, as typed calls."""

from types import TracebackType
from typing import Self

import httpx

from taske_ray.sdk.accounts import Account, AsyncAccount
from taske_ray.sdk.api_keys import ApiKeys, AsyncApiKeys
from taske_ray.sdk.app_webhooks import AppWebhooks, AsyncAppWebhooks
from taske_ray.sdk.audit import AsyncAudit, Audit
from taske_ray.sdk.catalog import AsyncCapabilities, AsyncModules, Capabilities, Modules
from taske_ray.sdk.connections import AsyncConnections, Connections
from taske_ray.sdk.delivery import Patience, Session
from taske_ray.sdk.faces import AsyncLine, Line, client_options
from taske_ray.sdk.logins import read_login
from taske_ray.sdk.oauth_clients import AsyncClients, Clients
from taske_ray.sdk.runs import AsyncRuns, Runs
from taske_ray.sdk.tasks import AsyncTasks, Tasks
from taske_ray.sdk.users import AsyncUsers, Users
from taske_ray.settings import default_service_url, service_address


class Taske:
    """A Taske service, called synchronously. Usable as a context manager, and from several threads.

    `url` and `api_key` come from the arguments, else from `TASKE_URL` and `TASKE_API_KEY`, else from `taske login`;
    a saved key is only ever sent to the service that it was saved for. 429, 503 and lost connections are tried again
    `retries` times; problems are raised as the exceptions of `taske_ray.errors`.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 35.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url, key = whereto(url, api_key)
        client = httpx.Client(transport=transport, **client_options(self.url, timeout_s))
        self._line = line = Line(client, Session(key), Patience(retries))
        self.account = Account(line)
        self.api_keys = ApiKeys(line)
        self.tasks = Tasks(line)
        self.runs = Runs(line)
        self.modules = Modules(line)
        self.capabilities = Capabilities(line)
        self.connections = Connections(line)
        self.instance_connections = Connections(line, shared=True)
        self.oauth_clients = Clients(line)
        self.app_webhooks = AppWebhooks(line)
        self.users = Users(line)
        self.audit = Audit(line)

    def close(self) -> None:
        """Close the connections to the service."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncTaske:
    """A Taske service, called asynchronously; otherwise like `Taske`."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 35.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url, key = whereto(url, api_key)
        client = httpx.AsyncClient(transport=transport, **client_options(self.url, timeout_s))
        self._line = line = AsyncLine(client, Session(key), Patience(retries))
        self.account = AsyncAccount(line)
        self.api_keys = AsyncApiKeys(line)
        self.tasks = AsyncTasks(line)
        self.runs = AsyncRuns(line)
        self.modules = AsyncModules(line)
        self.capabilities = AsyncCapabilities(line)
        self.connections = AsyncConnections(line)
        self.instance_connections = AsyncConnections(line, shared=True)
        self.oauth_clients = AsyncClients(line)
        self.app_webhooks = AsyncAppWebhooks(line)
        self.users = AsyncUsers(line)
        self.audit = AsyncAudit(line)

    async def close(self) -> None:
        """Close the connections to the service."""
        await self._line.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def whereto(url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """Which service, and with which key: arguments, environment, saved login, in this order."""
    env_url, env_key = service_address()
    saved = read_login()
    key = api_key or (env_key if url is None or _same(url, env_url or default_service_url) else None)
    if url is None:
        url = env_url or (saved.url if saved and key is None else default_service_url)
    if key is None and saved is not None and _same(saved.url, url):
        key = saved.api_key
    return url.rstrip("/"), key


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
