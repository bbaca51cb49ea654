"""Where `taske login` remembers who speaks to which service: one file that only its owner can read."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs


@dataclass(frozen=True, slots=True)
class SavedLogin:
    """A service and the API key for it."""

    url: str
    api_key: str = field(repr=False)


def login_file() -> Path:
    """The file, in the user's configuration folder."""
    return Path(platformdirs.user_config_dir("taske")) / "login.json"


def read_login(file: Path | None = None) -> SavedLogin | None:
    """The saved login; None if there is none, or none that makes sense."""
    try:
        values = json.loads((file or login_file()).read_text())
        return SavedLogin(url=str(values["url"]), api_key=str(values["api_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_login(login: SavedLogin, file: Path | None = None) -> Path:
    """Save it with mode 0600, replacing the file at once: nobody ever reads half of it, or another's copy."""
    target = file or login_file()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as output:
        json.dump(asdict(login), output)
    fresh.replace(target)
    return target
