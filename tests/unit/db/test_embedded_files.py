"""Files that the embedded server is given: whole or not at all, because a disk may be full."""

import errno
from pathlib import Path

import pytest

from taske_ray.db.embedded_files import put


@pytest.fixture
def full(monkeypatch):
    """A disk with room for three characters more."""

    def write_text(path, text):
        path.write_bytes(text.encode()[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda: monkeypatch.setattr(Path, "write_text", write_text)


def test_a_full_disk_leaves_the_file_that_is_there(full, tmp_path):
    """A start that cannot write its settings has not lost those of the last one."""
    file = tmp_path / "postgresql.conf"
    put(file, "fsync = on\n", None)
    full()
    with pytest.raises(OSError, match="No space left"):
        put(file, "fsync = on\njit = off\n", None)
    assert file.read_text() == "fsync = on\n"


def test_what_says_the_same_is_left_alone(full, tmp_path):
    """Nothing is written then, so that a start needs no room; another text takes the file's place."""
    file = tmp_path / "pg_hba.conf"
    put(file, "one\n", None)
    put(file, "two\n", None)
    assert file.read_text() == "two\n"
    full()
    put(file, "two\n", None)
