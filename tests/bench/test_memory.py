"""Counting the pages of files once for a whole instance."""

import os

from tests.bench.memory import files_mib, own_mib, pieces

SMAPS = """\
5652f6981000-5652f6983000 r--p 00001000 fe:00 260386                     /usr/lib/a b.so
Size:                 16 kB
Rss:                  12 kB
Pss:                   6 kB
Anonymous:             4 kB
VmFlags: rd mr mw me
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
Rss:                1024 kB
Anonymous:          1024 kB
7f0000200000-7f0000300000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
Rss:                 512 kB
Anonymous:             0 kB
7ffec79de000-7ffec79ff000 rw-p 00000000 00:00 0                          [stack]
Rss:                  16 kB
Anonymous:            16 kB
"""


def test_only_unchanged_pages_of_files_count():
    """Changed pages, anonymous memory, shared memory and the stack are not pages of a file."""
    assert list(pieces(SMAPS)) == [(("/usr/lib/a b.so", "00001000"), 8)]


def test_a_file_is_counted_once():
    """Asking for the same process twice gives what asking once gives."""
    once, twice = files_mib([os.getpid()]), files_mib([os.getpid()] * 2)
    assert abs(once - twice) < 1
    assert once > 1


def test_a_process_holds_memory_of_its_own():
    """A Python process holds some mebibytes that are no file's."""
    assert own_mib(os.getpid()) > 1
