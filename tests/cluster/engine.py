"""The engine as its tests see it: what a user can do, through the services, with real actors behind them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

from actors import cluster
from actors.cluster_ports import ServicePorts, connect_ports
from taske_ray.bootstrap import TaskServices, open_database, open_store, task_services
from taske_ray.clock import new_id
from taske_ray.core.ids import parse_id
from taske_ray.db.database import Database
from taske_ray.services.master_key import open_keyring
from tests.facts import until

OVER = ("succeeded", "failed", "cancelled", "needs_attention")
MANUAL = {"capability": "system.manual"}


@dataclass
class Engine:
    """One service without its HTTP face, and one user of it."""

    services: TaskServices
    database: Database
    ports: ServicePorts
    owner: UUID

    async def task(self, *actions, trigger=None, **options):
        """Save a task, by hand unless a trigger is given; the task as its user sees it."""
        document = {"name": "a task", "trigger": trigger or MANUAL, "actions": list(actions), **options}
        return await self.services.tasks.create(document, owner=self.owner)

    async def fire(self, task, given=None, *, key=None):
        """Fire by hand; the run's id."""
        return await self.services.tasks.run(task["id"], given or {}, owner=self.owner, key=key)

    async def run(self, *actions, given=None, within_s=30):
        """Save a task of these actions, fire it, and return the run when it is over."""
        return await self.ended(await self.fire(await self.task(*actions), given), within_s)

    async def get(self, run_id):
        """The run as its user sees it."""
        return await self.services.runs.get(run_id, owner=self.owner)

    async def runs(self, task):
        """The runs of a task, oldest first."""
        task_id = parse_id("task", task["id"])
        return (await self.services.runs.list(task_id, owner=self.owner, limit=200))[::-1]

    async def ended(self, run_id, within_s=30):
        """The run when it is over."""
        return await self.reached(run_id, *OVER, within_s=within_s)

    async def reached(self, run_id, *statuses, within_s=30):
        """The run once its status is one of these."""

        async def there():
            run = await self.get(run_id)
            return run if run["status"] in statuses else None

        return await until(there, within_s, f"{run_id} in {statuses}")

    async def until_received(self, receiver, url, count=1, within_s=30):
        """The requests to an address once there are so many."""
        return await until(
            lambda: receiver.at(url) if len(receiver.at(url)) >= count else None, within_s, f"request {count} to {url}"
        )

    async def rows(self, statement, **values):
        """Rows of the database, for what no user can see."""
        return await self.database.fetch(statement, values)

    async def skips(self, task):
        """What did not become a run of a task: the count by reason."""
        rows = await self.rows(
            "SELECT reason, sum(count)::int AS count FROM skips WHERE trigger_id = %(id)s GROUP BY reason",
            id=trigger_id(task),
        )
        return {row["reason"]: row["count"] for row in rows}

    async def hosts(self, kind):
        """The live hosts of a kind: `{id, name, node, pid}`."""
        return await self.rows(
            "SELECT id, name, node, pid FROM hosts WHERE kind = %(kind)s AND state = 'live'"
            " AND expires_at > clock_timestamp()",
            kind=kind,
        )

    async def host_of(self, run_id):
        """The live host that owns a run."""
        rows = await self.rows("SELECT owner FROM runs WHERE id = %(id)s", id=parse_id("run", run_id))
        return next(host for host in await self.hosts("run") if host["id"] == rows[0]["owner"])

    async def watched(self):
        """The version of every trigger that is watched, as the supervisor says."""
        supervisor = await cluster.find(cluster.SUPERVISOR)
        try:
            return await cluster.call(supervisor, "watched", timeout_s=2.0) if supervisor else {}
        except (cluster.ActorLost, TimeoutError):
            return {}

    async def watches(self, task, version):
        """Whether this version of the task's trigger is the one that is watched; None: that none is."""
        return (await self.watched()).get(trigger_id(task)) == version

    async def complete(self):
        """Whether the supervisor and every kind of host answer."""
        return all((await self.ports.parts()).values())


async def open_engine(settings, stack: AsyncExitStack):
    """The services over a database and a cluster that are there, and a user of their own."""
    database = await open_database(settings, stack, rows=1, hot=1, role=None)
    api = await open_database(settings, stack, rows=4, hot=4, role="taske_api")
    hosts = await open_database(settings, stack, rows=1, hot=2, role="taske_engine")
    ports = await connect_ports(hosts, settings.limits)
    stack.push_async_callback(ports.run_hosts.close)
    keyring = open_keyring(settings, ["hooks", "credentials"])
    store = open_store(settings, hosts, stack)
    services = task_services(settings, api, keyring, ports, store)
    engine = Engine(services, database, ports.run_hosts, new_id())
    await engine.rows(
        "INSERT INTO users (id, email, role, status) VALUES (%(id)s, %(email)s, 'admin', 'active')",
        id=engine.owner,
        email=f"{engine.owner.hex}@example.com",
    )
    return engine


def post(url, body=None, **options):
    """An `http.request` that posts; `options` are those of the action."""
    return {"capability": "http.request", "params": {"method": "POST", "url": url, "body": body}, **options}


def get(url, **options):
    """An `http.request` that reads."""
    return {"capability": "http.request", "params": {"url": url}, **options}


def trigger_id(task):
    """The id of a task's trigger."""
    return parse_id("trigger", task["trigger"]["id"])
