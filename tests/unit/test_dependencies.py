"""The oldest versions that we run with, and why (security, 18); what is installed is compared with them."""

import ast
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.syntax import parsed

ROOT = Path(__file__).parents[2]

FLOORS: dict[str, tuple[str, str]] = {
    "ray": ("2.56", "CVE-2025-62593 (2.52), CVE-2026-27482 (2.54), CVE-2026-41486 (2.55), CVE-2026-57516 (2.56)"),
    "aiohttp": ("3.14.4", "CVE-2025-69223 decompression bombs, CVE-2026-69244 malformed responses"),
    "starlette": ("1.3.1", "CVE-2024-47874, CVE-2025-62727 (Range), CVE-2026-48710, CVE-2026-54283 (form limits)"),
    "h11": ("0.16.0", "CVE-2025-43859, request smuggling"),
    "PyJWT": ("2.15.1", "CVE-2026-32597 (crit), CVE-2026-48523 (allow-list), CVE-2026-48526 (public key as HMAC key)"),
    "Authlib": ("1.7.1", "CVE-2025-61920 (500 MB header), CVE-2026-27962 (key from the header), CVE-2026-44681"),
    "joserfc": ("1.7.4", "CVE-2026-75509 (iss as a list), CVE-2026-102946 (no signatures)"),
    "cryptography": ("50.0.0", "CVE-2026-39892, CVE-2026-69247"),
    "python-liquid": ("2.3.6", "CVE-2026-45017 (loader), CVE-2026-55865 (endless parse); pinned, its limits measured"),
    "croniter": ("7.0", "rare expressions and clock changes"),
    "python-multipart": ("0.0.27", "CVE-2026-24486, CVE-2026-40347, CVE-2026-42561; only where something brings it"),
}
PINNED = {"python-liquid"}
MAY_BE_ABSENT = {"python-multipart"}
NEVER = {
    "jose": "python-jose is not maintained",
    "passlib": "not maintained; argon2-cffi with explicit parameters instead",
    "jinja2": "templates of users reach Python objects there",
    "pickle": "deserialising runs code",
    "multipart": "no form is parsed to disk",
}


def _numbers(text):
    return tuple(int(part) for part in text.split("+")[0].split(".") if part.isdecimal())


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_what_is_installed_is_not_older(name):
    """The version in use has the fixes that we rely on; a pinned one is exactly that."""
    floor, reason = FLOORS[name]
    assert reason
    try:
        installed = version(name)
    except PackageNotFoundError:
        assert name in MAY_BE_ABSENT
        return
    assert _numbers(installed) >= _numbers(floor), f"{name} {installed} is older than {floor}: {reason}"
    assert name not in PINNED or installed == floor


_compared = [("3.14.3", True), ("3.14.4", False), ("3.9.99", True), ("4.0", False)]


@pytest.mark.parametrize(("version_text", "older"), _compared)
def test_versions_compare_as_numbers(version_text, older):
    """The comparison is able to fail."""
    assert (_numbers(version_text) < _numbers("3.14.4")) is older


def _imported(path):
    for node in ast.walk(parsed(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_what_is_never_used():
    """No file of ours imports what cannot be used safely here, evaluates text as code, or loads unsafe YAML."""
    for path in (each for folder in ("taske_ray", "actors", "deployments") for each in (ROOT / folder).rglob("*.py")):
        assert not set(_imported(path)) & set(NEVER), path
        calls = [node.func for node in ast.walk(parsed(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id in ("eval", "exec")], path
        unsafe = ("load", "load_all", "unsafe_load", "full_load")
        named = [call for call in calls if isinstance(call, ast.Attribute) and call.attr in unsafe]
        assert not [call for call in named if isinstance(call.value, ast.Name) and call.value.id == "yaml"], path


def test_every_dependency_is_locked_with_hashes():
    """Nothing is installed that the lock file does not name with its hash."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / name).read_text().splitlines()
        named = [line for line in lines if line and not line.startswith((" ", "#", "-"))]
        assert named
        assert all("==" in line and line.endswith("\\") for line in named), name
