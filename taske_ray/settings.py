"""Every environment variable, read once and frozen; the only reader of `os.environ`.

Users set `TASKE_…` (docs/reference/settings.md). `Settings.from_env()` is called once per process, by the command
line, by `actors/cluster.py` and by each `deployments/*/deployment.py`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import platformdirs

from taske_ray import limits
from taske_ray.errors import StartRefused
from taske_ray.limits import Limits


@dataclass(frozen=True, slots=True)
class Density:
    """How many processes hold the hosted actors, and how many actors each of them may hold."""

    run_hosts: int = 1
    runs_per_host: int = 2000
    integration_clients: int = 2
    calls_per_client: int = 400
    watcher_hosts: int = 1
    watchers_per_host: int = 50_000


@dataclass(frozen=True, slots=True)
class SocialLogin:
    """A provider that users may log in with: OpenID, or, under the name `github`, GitHub's own dialect."""

    name: str
    client_id: str
    client_secret: str = field(repr=False)
    issuer: str


@dataclass(frozen=True, slots=True)
class Settings:
    """How this instance runs. See `docs/reference/settings.md` for each variable."""

    data_dir: Path
    keys_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    database_url: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)
    master_key_old: tuple[str, ...] = field(default=(), repr=False)
    public_url: str | None = None
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str = "taske@localhost"
    egress_allow: tuple[str, ...] = ()
    limits: Limits = limits.profiles["default"]
    cors_origins: tuple[str, ...] = ()
    require_email_verification: bool = False
    signup: Literal["open", "closed"] = "open"
    demo_url: str | None = None
    social_logins: tuple[SocialLogin, ...] = ()
    density: Density = field(default_factory=Density)

    @property
    def url(self) -> str:
        """Where webhooks and callbacks reach us: the public URL, or the address we listen on."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def embedded(self) -> bool:
        """Whether the database is our own, in the data directory."""
        return self.database_url is None

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment, and the file of secrets that it may name.

        Raises StartRefused naming the variable that makes no sense.
        """
        values = os.environ if env is None else env
        return _read({**values, **_secrets_in(values.get(SECRETS_FILE))})

    def with_options(self, **options: object) -> "Settings":
        """The same settings with the command line's options on top; None means not given."""
        return replace(self, **{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]

    def to_env(self) -> dict[str, str]:
        """The variables that make `from_env` give these settings: how a launcher tells its children.

        Whoever finds keys in a directory of their own is not told the master key.
        """
        master = {"MASTER_KEY": self.master_key, "MASTER_KEY_OLD": ",".join(self.master_key_old)}
        values: dict[str, str | None] = {
            "DATA_DIR": str(self.data_dir),
            "HOST": self.host,
            "PORT": str(self.port),
            "DATABASE_URL": self.database_url,
            **(master if self.keys_dir is None else {"KEYS_DIR": str(self.keys_dir)}),
            "PUBLIC_URL": self.public_url,
            "SMTP_URL": self.smtp_url,
            "MAIL_FROM": self.mail_from,
            "EGRESS_ALLOW": ",".join(self.egress_allow),
            "LIMITS": self.limits.profile,
            "CORS_ORIGINS": ",".join(self.cors_origins),
            "REQUIRE_EMAIL_VERIFICATION": str(self.require_email_verification).lower(),
            "SIGNUP": self.signup,
            "DEMO_URL": self.demo_url,
            **{name: value for login in self.social_logins for name, value in _as_variables(login).items()},
            **{name.upper(): str(getattr(self.density, name)) for name in Density.__dataclass_fields__},
            **_changed_limits(self.limits),
        }
        return {f"TASKE_{name}": value for name, value in values.items() if value}

    def to_open_env(self) -> dict[str, str]:
        """The same without what is secret, for what needs none, or finds them in a file."""
        return {name: value for name, value in self.to_env().items() if not is_secret(name)}

    def child_env(self) -> dict[str, str]:
        """The whole environment of a child process that runs with these settings and reads secrets where we did."""
        return {**os.environ, **self.to_open_env()}

    def secrets_text(self) -> str:
        """What a file that `TASKE_SECRETS_FILE` names says to whoever reads these settings."""
        return "".join(f"{name}={value}\n" for name, value in self.to_env().items() if is_secret(name))


SECRETS_FILE = "TASKE_SECRETS_FILE"
"""Names a file, for its owner alone, with lines `TASKE_…=value`: what stands there need not be in an environment."""
_secret = re.compile(r"TASKE_(?:DATABASE_URL|MASTER_KEY|MASTER_KEY_OLD|SMTP_URL|API_KEY|OIDC_[A-Z0-9_]+_SECRET)")


def is_secret(variable: str) -> bool:
    """Whether the value of an environment variable is nobody's business who does not need it."""
    return _secret.fullmatch(variable) is not None


def default_data_dir() -> Path:
    """The user's own data folder; for root one that the embedded database's own user can reach."""
    return Path("/var/lib/taske") if os.geteuid() == 0 else Path(platformdirs.user_data_dir("taske"))


default_service_url = "http://127.0.0.1:8000"


def service_address(env: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """Which service the SDK and the commands talk to: `TASKE_URL` and `TASKE_API_KEY`, None where not set."""
    values = os.environ if env is None else env
    return values.get("TASKE_URL") or None, values.get("TASKE_API_KEY") or None


def crash_directory(env: Mapping[str, str] | None = None) -> Path | None:
    """Where the tests of faults arm crash points (`crash_points.py`): `TASKE_CRASH_DIR`, in use by nobody else."""
    values = os.environ if env is None else env
    place = values.get("TASKE_CRASH_DIR")
    return Path(place) if place else None


def _secrets_in(place: str | None) -> dict[str, str]:
    if not place:
        return {}
    path = Path(place)
    try:
        if path.stat().st_mode & 0o077:
            raise StartRefused(f"{SECRETS_FILE}: {path} is open to others; chmod 600 it")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StartRefused(f"{SECRETS_FILE}: {path} cannot be read: {error.strerror}") from None
    pairs = (line.strip().partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    found = {name.strip(): value.strip() for name, _, value in pairs}
    for name in found:
        if not is_secret(name):
            raise StartRefused(f"{SECRETS_FILE}: {name!r} does not belong into {path}")
    return found


def _read(env: Mapping[str, str]) -> Settings:
    def text(name: str) -> str | None:
        return env.get(f"TASKE_{name}") or None

    def items(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in (text(name) or "").split(",") if part.strip())

    smtp_url, usual = text("SMTP_URL"), Density()
    settings = Settings(
        data_dir=Path(text("DATA_DIR") or default_data_dir()),
        keys_dir=Path(env["TASKE_KEYS_DIR"]) if text("KEYS_DIR") else None,
        host=text("HOST") or "127.0.0.1",
        port=_number(env, "PORT", 8000, 1, 65535),
        database_url=text("DATABASE_URL"),
        master_key=text("MASTER_KEY"),
        master_key_old=items("MASTER_KEY_OLD"),
        public_url=_origin(text("PUBLIC_URL")),
        smtp_url=smtp_url,
        mail_from=text("MAIL_FROM") or "taske@localhost",
        egress_allow=items("EGRESS_ALLOW"),
        limits=_limits(env),
        cors_origins=tuple(_exact_origin(part) for part in items("CORS_ORIGINS")),
        require_email_verification=_boolean(env, "REQUIRE_EMAIL_VERIFICATION", default=smtp_url is not None),
        signup=_choice(env, "SIGNUP", ("open", "closed")),  # type: ignore[arg-type]
        demo_url=_origin(text("DEMO_URL")),
        social_logins=_social_logins(env),
        density=Density(
            **{
                name: _number(env, name.upper(), getattr(usual, name), 1, 1_000_000)
                for name in Density.__dataclass_fields__
            }
        ),
    )
    if settings.database_url and not settings.master_key and not settings.keys_dir:
        raise StartRefused("TASKE_MASTER_KEY is required with TASKE_DATABASE_URL: 32 bytes, base64")
    return settings


_own_issuers = {"google": "https://accounts.google.com", "github": "https://github.com"}
_of_social_login = re.compile(r"TASKE_OIDC_([A-Z0-9_]+?)_(CLIENT_ID|CLIENT_SECRET|SECRET|ISSUER)")


def _social_logins(env: Mapping[str, str]) -> tuple[SocialLogin, ...]:
    found: dict[str, dict[str, str]] = {}
    for variable, value in env.items():
        if not variable.startswith("TASKE_OIDC_") or not value:
            continue
        parts = _of_social_login.fullmatch(variable)
        if parts is None:
            raise StartRefused(f"{variable} is none of TASKE_OIDC_<NAME>_CLIENT_ID, …_CLIENT_SECRET and …_ISSUER")
        found.setdefault(parts[1].lower(), {})[parts[2]] = value
    return tuple(_social_login(name, values) for name, values in sorted(found.items()))


def _social_login(name: str, values: Mapping[str, str]) -> SocialLogin:
    prefix = f"TASKE_OIDC_{name.upper()}"
    secrets = {values[key] for key in ("CLIENT_SECRET", "SECRET") if key in values}
    if "CLIENT_ID" not in values or len(secrets) != 1:
        raise StartRefused(f"{prefix}_CLIENT_ID and one {prefix}_CLIENT_SECRET go together")
    issuer = values.get("ISSUER") or _own_issuers.get(name)
    if issuer is None:
        raise StartRefused(f"{prefix}_ISSUER is missing: the address of the provider, as it names itself")
    parts = urlsplit(issuer)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise StartRefused(f"{prefix}_ISSUER must be an http or https URL without a query, not {issuer!r}")
    return SocialLogin(name, values["CLIENT_ID"], secrets.pop(), issuer)


def _as_variables(login: SocialLogin) -> dict[str, str]:
    prefix = f"OIDC_{login.name.upper()}"
    values = {"CLIENT_ID": login.client_id, "CLIENT_SECRET": login.client_secret, "ISSUER": login.issuer}
    return {f"{prefix}_{name}": value for name, value in values.items()}


def _limits(env: Mapping[str, str]) -> Limits:
    """The profile that is chosen, with the figures that are set one by one."""
    found = limits.profiles[_choice(env, "LIMITS", tuple(limits.profiles))]  # type: ignore[index]
    changed: dict[str, int | None] = {}
    for variable, value in env.items():
        if not variable.startswith("TASKE_LIMIT_") or not value:
            continue
        name = variable.removeprefix("TASKE_LIMIT_").lower()
        if name not in limits.figures:
            raise StartRefused(f"There is no setting {variable}: the limits are {', '.join(limits.figures)}")
        is_none = value == "none" and name in limits.optional
        changed[name] = None if is_none else _number(env, f"LIMIT_{name.upper()}", 1, 1, 1_000_000_000)
    return replace(found, **changed)  # type: ignore[arg-type]


def _changed_limits(chosen: Limits) -> dict[str, str]:
    """The variables that make these limits of those of their profile."""
    usual = limits.profiles[chosen.profile]
    values = {name: getattr(chosen, name) for name in limits.figures if getattr(chosen, name) != getattr(usual, name)}
    return {f"LIMIT_{name.upper()}": "none" if value is None else str(value) for name, value in values.items()}


def _number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    value = env.get(f"TASKE_{name}") or str(default)
    if not value.isdecimal() or not low <= int(value) <= high:
        raise StartRefused(f"TASKE_{name} must be a number from {low} to {high}, not {value!r}")
    return int(value)


def _boolean(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(f"TASKE_{name}") or str(default).lower()
    if value not in ("true", "false"):
        raise StartRefused(f"TASKE_{name} must be true or false, not {value!r}")
    return value == "true"


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = env.get(f"TASKE_{name}") or choices[0]
    if value not in choices:
        raise StartRefused(f"TASKE_{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def _origin(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise StartRefused(f"TASKE_PUBLIC_URL must be an http or https URL without a query, not {url!r}")
    return url.rstrip("/")


def _exact_origin(origin: str) -> str:
    """An origin as browsers send it; `*` and `null` would be anybody."""
    if not re.fullmatch(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?", origin):
        raise StartRefused(f"TASKE_CORS_ORIGINS: {origin!r} is not an exact origin, like https://app.example")
    return origin
