"""A database of its own for a measurement that needs no service."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.db.migrate import upgrade


@contextlib.contextmanager
def temporary_database() -> Iterator[tuple[str, Path]]:
    """The owner's URL of a database with this version's schema, and the folder that it is in; gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        server.start()
        try:
            upgrade(server.admin_url)
            yield server.admin_url, Path(folder)
        finally:
            server.stop()
