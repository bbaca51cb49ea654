"""A command line that talks to a service of ten lines."""

import pytest

from taske_ray.cli.main import run
from tests.unit.sdk.service import FakeService


class Shell:
    """Runs commands against scripted answers; `out` and `err` are what the last one printed."""

    def __init__(self, capsys) -> None:
        self._capsys = capsys
        self.service = FakeService()
        self.out = self.err = ""

    def __call__(self, *arguments: str, answers=(), **options) -> int:
        """Run `taske ARGUMENTS` and return its exit code."""
        self.service = FakeService(*answers)
        code = run(arguments, lambda: self.service.taske(**options))
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def taske(capsys, monkeypatch, tmp_path):
    """Run commands in a process without TASKE_ variables, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("TASKE_URL", "TASKE_API_KEY", "TASKE_DATABASE_URL", "TASKE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(capsys)
