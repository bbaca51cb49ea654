import pytest

from tests.cluster.launcher_service import free_port
from tests.integration.front_door.door import Door


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """The door with its own waits."""
    found = Door(tmp_path_factory.mktemp("door"), free_port(), free_port())
    yield found.open()
    found.close()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """The door with a tenth of the patience and of a hook's places."""
    folder = tmp_path_factory.mktemp("hasty") / "node"  # as in a run directory
    folder.mkdir()
    found = Door(folder, free_port(), free_port())
    yield found.open(short_waits=True)
    found.close()
