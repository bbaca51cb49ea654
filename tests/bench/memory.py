"""How much memory an instance holds, as if it were alone on the machine.

Its proportional set size would shrink with every other Python on the machine, because the pages of libraries are
divided among all who map them. So the pages of files are counted here once for the instance: of each mapped piece as
many as the process that holds the most of it. Everything else is the proportional size that the kernel tells.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_not_files = ("/dev/", "/memfd:", "/SYSV", "[")


def own_mib(pid: int) -> float:
    """What a process holds that is no page of a file, shared memory by share; in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(_kib(line) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024


def files_mib(pids: Iterable[int]) -> float:
    """The pages of files that these processes hold together, each counted once; in MiB."""
    most: dict[tuple[str, str], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # one that has ended meanwhile holds nothing
            for piece, held in pieces(Path(f"/proc/{pid}/smaps").read_text()):
                most[piece] = max(held, most.get(piece, 0))
    return sum(most.values()) / 1024


def pieces(smaps: str) -> Iterator[tuple[tuple[str, str], int]]:
    """The pieces of files (path, offset) in a `smaps` text, and how many KiB of them are held unchanged."""
    piece: tuple[str, str] | None = None
    held = 0
    for line in smaps.splitlines():
        if line.startswith("Rss:"):
            held = _kib(line)
        elif line.startswith("Anonymous:"):
            if piece is not None:
                yield piece, held - _kib(line)
        elif not line.partition(" ")[0].endswith(":"):
            piece = _piece(line.split(maxsplit=5))


def _piece(words: list[str]) -> tuple[str, str] | None:
    path = words[5] if len(words) > 5 else ""
    return (path, words[2]) if path and not path.startswith(_not_files) else None


def _kib(line: str) -> int:
    return int(line.split()[1])
