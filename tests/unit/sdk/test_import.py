"""What importing the SDK loads."""

import subprocess
import sys

import pytest

import taske_ray

HEAVY = ("ray", "sqlalchemy", "sqlmodel", "psycopg", "alembic", "fastapi")


def loaded(code):
    """Which of the heavy libraries a fresh interpreter has loaded after `code`."""
    check = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("code", ["import taske_ray", f"from taske_ray import {', '.join(taske_ray.__all__)}"])
def test_importing_loads_neither_ray_nor_a_database_driver(code):
    """The SDK is light: no Ray, no database, no web framework."""
    assert loaded(code) == []


def test_the_bare_import_loads_no_http_client():
    """Names are resolved on first use."""
    code = "import sys, taske_ray; assert 'httpx' not in sys.modules; taske_ray.Taske; assert 'httpx' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_attribute_errors():
    """A misspelt name says so."""
    with pytest.raises(AttributeError, match="Client"):
        taske_ray.Client  # noqa: B018 - the access is the test
