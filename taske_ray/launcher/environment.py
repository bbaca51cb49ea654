"""The environment in which Ray and everything below it start: all of Ray's switches stand here, with their reasons.

Ray and Serve read most of them at import, so they must be there before the runtime process starts.
"""

import ipaddress
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from taske_ray.errors import StartRefused
from taske_ray.launcher import haproxy
from taske_ray.launcher.processes import MARK
from taske_ray.launcher.worker import NURSERY
from taske_ray.settings import SECRETS_FILE, Settings, is_secret

TUNING: Final = {
    # Lean and fair: no niceness below PostgreSQL's, no reports nobody reads, no worker started on suspicion.
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_event_stats": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_metric_cardinality_level": "low",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ROTATION_MAX_BYTES": str(20 * 2**20),
    "RAY_ROTATION_BACKUP_COUNT": "2",
    # A dead or hung node is seen in 12 s instead of 15 to 63.
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
    # Ten times the requests per second of Serve's own proxy, and back in 4 s instead of 30 after a crash.
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # would send each request through Python once more
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "2",
    # Nobody waits for ever: a replica that is too busy to answer is left out after 15 s (`haproxy.CHECK_LIMIT_S`; one
    # that is frozen is ended after 5, `watchdog.py`), one that is gone is tried once more, and no answer may be silent
    # for longer than the slowest one that we know (35 s: a call by hand). Only checks mark a replica down: a refused
    # request that did so would be cut off with the others, without a page.
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
    "RAY_SERVE_HAPROXY_OBSERVE_MARK_DOWN_ENABLED": "0",
    "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "2",
    "RAY_SERVE_HAPROXY_RETRIES": "1",
    "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": "60",
    # On a busy machine a proxy's process needs more than Serve's 5 s to come up; killed for that, the start would fail.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    # Drained by the supervisor before Serve is asked to stop: no need to wait here.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "30",
    # A process title written over the environment would hide the mark by which leftovers are found.
    "SPT_NOENV": "1",
    "PYTHONUNBUFFERED": "1",
    "MALLOC_ARENA_MAX": "2",
    "OPENBLAS_NUM_THREADS": "1",  # numpy comes with Ray and would start a thread per core to do nothing
}
"""May be overridden by the operator's own environment."""

SERVE: Final = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"}
"""The switches that every process which speaks to Serve must agree on."""

FIRST_NODE_PORT: Final = 30_000
"""Of the replicas on a cluster's nodes, which belong to one service."""

_NOT_INHERITED: Final = ("RAY_ADDRESS", "RAY_TMPDIR", "RAY_AUTH_TOKEN", "RAY_NAMESPACE", "RAY_JOB_CONFIG_JSON")


def local(settings: Settings, *, run_dir: Path, ports: range, inherited: Mapping[str, str]) -> dict[str, str]:
    """For a Ray of our own: everything the runtime process and all below it inherit.

    Writes the instance's token and its secrets: most of what starts needs none of them, and whoever does reads them.
    """
    trusted = trusted_proxies(inherited.get("FORWARDED_ALLOW_IPS"))
    return {
        **TUNING,
        **{name: value for name, value in inherited.items() if name not in _NOT_INHERITED and not is_secret(name)},
        **_settings(settings, run_dir),
        **front_door(run_dir=run_dir, ports=ports, host=settings.host, trusted=trusted),
        haproxy.HOOK_IN_FLIGHT: str(settings.limits.hook_in_flight),
        MARK: str(settings.data_dir.absolute()),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(_private_file(run_dir / "token", secrets.token_hex(32))),
        NURSERY: str(run_dir / "w"),
        "RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH": "taske_ray.launcher.lean_serve.without_fallback_proxy",
    }


def joined(settings: Settings, *, run_dir: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """For a runtime process that joins a cluster, whose nodes have their own environment (`cluster.yaml`)."""
    kept = {name: value for name, value in inherited.items() if not is_secret(name)}
    mark = {MARK: str(settings.data_dir.absolute())}
    return {**TUNING, **SERVE, **kept, **_settings(settings, run_dir), **mark}


def _settings(settings: Settings, run_dir: Path) -> dict[str, str]:
    """The variables from which `Settings.from_env` makes these again; what is secret is in a file beside them."""
    place = _private_file(run_dir / "secrets", settings.secrets_text())
    return {**settings.to_open_env(), SECRETS_FILE: str(place)}


def front_door(*, run_dir: Path, ports: range, host: str, trusted: tuple[str, ...] = ()) -> dict[str, str]:
    """What makes Serve's HAProxy safe and keeps it apart from any other on the machine; installs the stand-in."""
    haproxy.install(run_dir / "haproxy")
    return {**_front_door(str(run_dir), ports, host), haproxy.TRUSTED_PROXIES: ",".join(trusted)} | {
        # What uvicorn in the replicas believes: our HAProxy, and whoever HAProxy believes.
        "FORWARDED_ALLOW_IPS": ",".join(("127.0.0.1", *trusted))
    }


def node_file() -> str:
    """The environment file that every node of a cluster needs (`cluster.yaml`), for a shell to read.

    The operator adds the public address and those of the private network, writes the file of secrets, which has the
    database's address, and has the keys written (`handover.py`).
    """
    values = {**TUNING, **_front_door("$HOME/.taske", range(FIRST_NODE_PORT, FIRST_NODE_PORT + 50), "0.0.0.0")}  # noqa: S104
    ask = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": "$HOME/.ray/auth_token",
        SECRETS_FILE: "$HOME/taske.secrets",
        "TASKE_KEYS_DIR": "$HOME/taske-keys",
        "TASKE_PUBLIC_URL": "",
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        haproxy.TRUSTED_PROXIES: "",
    }
    return "".join(f"{name}={value}\n" for name, value in (values | ask).items())


def _front_door(run_dir: str, ports: range, host: str) -> dict[str, str]:
    return {
        **SERVE,
        "RAY_SERVE_HAPROXY_BINARY_PATH": f"{run_dir}/haproxy",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{run_dir}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{run_dir}/a",  # short: Ray puts its 56-digit node id into the path
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": run_dir,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{run_dir}/server-state",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{run_dir}/m",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports[0]),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports[1]),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports[2]),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports[3]),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports[4]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports[-1]),
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(haproxy.BUFFER_BYTES),
        # Serve decodes this header; what senders of webhooks call so must not fail them.
        "RAY_SERVE_SESSION_ID_HEADER_KEY": "x-taske-not-used",
        "RAY_SERVE_HAPROXY_RETRY_ON": haproxy.RETRY_ON,  # not for the operator to loosen
        haproxy.BIND_HOST: host,
    }


def trusted_proxies(text: str | None) -> tuple[str, ...]:
    """The outer proxies that `FORWARDED_ALLOW_IPS` names; raises StartRefused for what is no address or network."""
    found = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    for part in found:
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise StartRefused(f"FORWARDED_ALLOW_IPS: {part!r} is not an address or network of a proxy") from None
    return found


def _private_file(path: Path, text: str) -> Path:
    """A fresh file that only we can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


if __name__ == "__main__":
    print(node_file(), end="")  # noqa: T201 - `python -m taske_ray.launcher.environment > taske.env`
