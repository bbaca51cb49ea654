"""Where the tests of `tests/faults` may end or stop this process: at exactly that instruction, without a word.

Off, which is always outside those tests, a point costs one comparison. `TASKE_CRASH_DIR` names a directory; a point is
armed by a file of its label in it, which holds the signal (`KILL`, `STOP`). The process that gets there first takes the
file away, leaves `<label>.reached` with its process id, and sends itself the signal.
"""

import os
import signal
from pathlib import Path

from taske_ray.settings import crash_directory

_place = crash_directory()


def reach(label: str) -> None:
    """Die here, if the point is armed and nobody else was faster."""
    if _place is not None:
        _die(_place, label)


def _die(place: Path, label: str) -> None:
    taken = place / f"{label}.taken.{os.getpid()}"
    try:
        (place / label).rename(taken)
    except FileNotFoundError:
        return
    number = signal.Signals[f"SIG{taken.read_text().strip()}"]
    taken.write_text(str(os.getpid()))
    taken.rename(place / f"{label}.reached")
    os.kill(os.getpid(), number)
