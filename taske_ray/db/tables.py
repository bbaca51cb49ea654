"""The rows: one class a table, no behaviour. The schema's source is `migrations/`; a test compares the two."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

_now = {"server_default": text("clock_timestamp()")}


def _time(*, default: bool = False, **options: Any) -> Any:
    """A timestamptz column; `default`: the database's clock fills it in."""
    filled: dict[str, Any] = {"sa_column_kwargs": _now, "default": None} if default else {}
    return Field(sa_type=DateTime(timezone=True), **filled, **options)


def _json(**options: Any) -> Any:
    return Field(sa_type=JSONB(none_as_null=True), **options)


def _texts(**options: Any) -> Any:
    return Field(sa_type=ARRAY(Text), **options)


class User(SQLModel, table=True):
    """An account."""

    __tablename__ = "users"
    id: UUID = Field(primary_key=True)
    email: str = Field(unique=True, sa_type=Text)
    password_hash: str | None = Field(default=None, sa_type=Text)
    name: str = Field(default="", sa_type=Text)
    locale: str = Field(default="en", sa_type=Text)
    country: str | None = Field(default=None, sa_type=Text)
    timezone: str = Field(default="UTC", sa_type=Text)
    role: str = Field(default="user", sa_type=Text)
    status: str = Field(default="pending", sa_type=Text)
    not_before: datetime | None = Field(
        default=None, sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("'-infinity'")}
    )
    created_at: datetime | None = _time(default=True)
    updated_at: datetime | None = _time(default=True)
    verified_at: datetime | None = _time(nullable=True)
    compromised_at: datetime | None = _time(nullable=True)
    password_set_at: datetime | None = _time(nullable=True)
    password_due: bool = False


class Session(SQLModel, table=True):
    """A login, alive until it expires or is revoked."""

    __tablename__ = "sessions"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    user_agent: str | None = Field(default=None, sa_type=Text)
    address: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = _time(default=True)
    last_used_at: datetime | None = _time(default=True)
    expires_at: datetime = _time()
    revoked_at: datetime | None = _time(nullable=True)
    method: str = Field(default="password", sa_type=Text)
    authenticated_at: datetime | None = _time(default=True)


class RefreshToken(SQLModel, table=True):
    """One refresh token of a session's family, by its SHA-256."""

    __tablename__ = "refresh_tokens"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    session_id: UUID = Field(foreign_key="sessions.id", index=True)
    user_id: UUID = Field(foreign_key="users.id")
    expires_at: datetime = _time()
    used_at: datetime | None = _time(nullable=True)
    successor_hash: bytes | None = Field(default=None, sa_type=LargeBinary)
    successor_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)


class OneTimeToken(SQLModel, table=True):
    """A token that was mailed, by its SHA-256: verification, reset, another address, "this was not me"."""

    __tablename__ = "one_time_tokens"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    user_id: UUID = Field(foreign_key="users.id")
    purpose: str = Field(sa_type=Text)
    expires_at: datetime = _time()
    used_at: datetime | None = _time(nullable=True)
    address: str | None = Field(default=None, sa_type=Text)
    password_hash: str | None = Field(default=None, sa_type=Text)


class AuthorizationState(SQLModel, table=True):
    """A visit to a provider that is expected back, by the SHA-256 of its state."""

    __tablename__ = "authorization_states"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    purpose: str = Field(sa_type=Text)
    provider: str = Field(sa_type=Text)
    browser_hash: bytes = Field(sa_type=LargeBinary)
    user_id: UUID | None = Field(default=None, foreign_key="users.id")
    target: str = Field(sa_type=Text)
    detail: dict[str, Any] = _json(default_factory=dict)
    data_key: UUID = Field(foreign_key="data_keys.id")
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = _time(default=True)
    expires_at: datetime = _time()
    used_at: datetime | None = _time(nullable=True)


class LinkedIdentity(SQLModel, table=True):
    """Somebody as a provider knows them, and the account that this is."""

    __tablename__ = "identities"
    issuer: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(primary_key=True, sa_type=Text)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    provider: str = Field(sa_type=Text)
    email: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = _time(default=True)
    last_used_at: datetime | None = _time(default=True)


class ApiKey(SQLModel, table=True):
    """A key for programs, by its SHA-256."""

    __tablename__ = "api_keys"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    name: str = Field(sa_type=Text)
    hash: bytes = Field(unique=True, sa_type=LargeBinary)
    scopes: list[str] = _texts(default_factory=lambda: ["read", "write"])
    created_at: datetime | None = _time(default=True)
    expires_at: datetime | None = _time(nullable=True)
    last_used_at: datetime | None = _time(nullable=True)
    revoked_at: datetime | None = _time(nullable=True)
    session_id: UUID | None = None
    task_id: UUID | None = Field(default=None, foreign_key="tasks.id")


class TotpFactor(SQLModel, table=True):
    """The secret of a user's one-time codes; in use once it is confirmed. Codes up to `last_step` are spent."""

    __tablename__ = "totp_factors"
    user_id: UUID = Field(primary_key=True, foreign_key="users.id")
    data_key: UUID = Field(foreign_key="data_keys.id")
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = _time(default=True)
    confirmed_at: datetime | None = _time(nullable=True)
    last_step: int = Field(default=0, sa_type=BigInteger)


class RecoveryCode(SQLModel, table=True):
    """A code for when the device with the one-time codes is gone; `label` says publicly which one it is."""

    __tablename__ = "recovery_codes"
    user_id: UUID = Field(primary_key=True, foreign_key="users.id")
    label: str = Field(primary_key=True, sa_type=Text)
    hash: str = Field(sa_type=Text)
    used_at: datetime | None = _time(nullable=True)


class LoginChallenge(SQLModel, table=True):
    """A login whose first factor was right and whose second is due, by the SHA-256 of its challenge."""

    __tablename__ = "login_challenges"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    user_id: UUID = Field(foreign_key="users.id")
    method: str = Field(sa_type=Text)
    code_hash: bytes | None = Field(default=None, sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime | None = _time(default=True)
    expires_at: datetime = _time()
    used_at: datetime | None = _time(nullable=True)


class CodeFailure(SQLModel, table=True):
    """A wrong second factor, counted over all challenges of a user."""

    __tablename__ = "code_failures"
    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    user_id: UUID = Field(foreign_key="users.id")
    failed_at: datetime | None = _time(default=True)


class LoginFailure(SQLModel, table=True):
    """A login that was begun and not known to be right, counted for throttling."""

    __tablename__ = "login_failures"
    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    email: str = Field(sa_type=Text)
    address: str | None = Field(default=None, sa_type=Text)
    failed_at: datetime | None = _time(default=True)
    password_tag: bytes | None = Field(default=None, sa_type=LargeBinary)
    pending: bool = False


class DataKey(SQLModel, table=True):
    """A data key, wrapped by the purpose key; `user_id` is null for the instance's own."""

    __tablename__ = "data_keys"
    id: UUID = Field(primary_key=True)
    user_id: UUID | None = Field(default=None, foreign_key="users.id")
    purpose: str = Field(sa_type=Text)
    version: int = 1
    kek_id: str = Field(sa_type=Text)
    wrapped: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = _time(default=True)


class SigningKey(SQLModel, table=True):
    """A key that signs access tokens."""

    __tablename__ = "signing_keys"
    kid: str = Field(primary_key=True, sa_type=Text)
    data_key: UUID = Field(foreign_key="data_keys.id")
    sealed_private: bytes = Field(sa_type=LargeBinary)
    public_key: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = _time(default=True)
    retired_at: datetime | None = _time(nullable=True)


class IdempotencyKey(SQLModel, table=True):
    """The answer to a POST, kept a day for its `Idempotency-Key`; `status` is null while it is being answered."""

    __tablename__ = "idempotency_keys"
    user_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True, sa_type=Text)
    request_hash: bytes = Field(sa_type=LargeBinary)
    status: int | None = None
    body: Any = _json(default=None, nullable=True)
    created_at: datetime | None = _time(default=True)


class Module(SQLModel, table=True):
    """One version of a module document."""

    __tablename__ = "modules"
    module: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(primary_key=True)
    hash: str = Field(sa_type=Text)
    doc: dict[str, Any] = _json()
    origin: str = Field(sa_type=Text)
    created_at: datetime | None = _time(default=True)
    retired_at: datetime | None = _time(nullable=True)


class Capability(SQLModel, table=True):
    """One version of a capability, with the module version that carries it."""

    __tablename__ = "capabilities"
    capability: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(primary_key=True)
    module: str = Field(sa_type=Text, index=True)
    module_version: int
    hash: str = Field(sa_type=Text)
    doc: dict[str, Any] = _json()
    created_at: datetime | None = _time(default=True)
    retired_at: datetime | None = _time(nullable=True)


class Connection(SQLModel, table=True):
    """A user's authorised link to a module; the secret is sealed, `hints` show at most its last four characters."""

    __tablename__ = "connections"
    id: UUID = Field(primary_key=True)
    user_id: UUID | None = Field(default=None, foreign_key="users.id")
    module: str = Field(sa_type=Text)
    auth: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    label: str | None = Field(default=None, sa_type=Text)
    status: str = Field(default="active", sa_type=Text)
    status_reason: str | None = Field(default=None, sa_type=Text)
    config: dict[str, Any] = _json(default_factory=dict)
    data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    hints: dict[str, Any] = _json(default_factory=dict)
    version: int = 1
    created_at: datetime | None = _time(default=True)
    updated_at: datetime | None = _time(default=True)
    tested_at: datetime | None = _time(nullable=True)
    scopes: list[str] | None = _texts(nullable=True, default=None)
    token_at: datetime | None = _time(nullable=True)
    refresh_from: datetime | None = _time(nullable=True)
    token_expires_at: datetime | None = _time(nullable=True)
    refresh_owner: UUID | None = None
    refresh_until: datetime | None = _time(nullable=True)
    refresh_tries: int = Field(default=0, sa_type=SmallInteger)


class OAuthClient(SQLModel, table=True):
    """How the instance is registered at a provider; the secret is sealed, `hint` shows at most its last characters."""

    __tablename__ = "oauth_clients"
    id: UUID = Field(primary_key=True)
    module: str = Field(sa_type=Text)
    auth: str = Field(sa_type=Text)
    client_id: str = Field(sa_type=Text)
    data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    hint: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = _time(default=True)
    updated_at: datetime | None = _time(default=True)


class ConnectionAuthorization(SQLModel, table=True):
    """A user who was sent to a provider to allow a connection, and what became of it."""

    __tablename__ = "connection_authorizations"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    connection_id: UUID
    connection_owner: UUID | None = Field(default=None, foreign_key="users.id")
    reconnects: bool = False
    module: str = Field(sa_type=Text)
    auth: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    config: dict[str, Any] = _json(default_factory=dict)
    scopes: list[str] = _texts(default_factory=list)
    redirect_uri: str = Field(sa_type=Text)
    data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    code_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    code_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    proof_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    proof_row: str | None = Field(default=None, sa_type=Text)
    proof_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    status: str = Field(default="pending", sa_type=Text)
    error: dict[str, Any] | None = _json(nullable=True)
    created_at: datetime | None = _time(default=True)
    expires_at: datetime = _time()


class Task(SQLModel, table=True):
    """What the user defined: its current version's text is in `task_versions`."""

    __tablename__ = "tasks"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id")
    name: str = Field(sa_type=Text)
    enabled: bool
    version: int
    overlap: str = Field(default="allow", sa_type=Text)
    created_at: datetime | None = _time(default=True)
    updated_at: datetime | None = _time(default=True)
    failure_mailed_at: datetime | None = _time(nullable=True)


class TaskVersion(SQLModel, table=True):
    """One saved version: `spec` as checked, `pins` the capability versions it was checked against."""

    __tablename__ = "task_versions"
    task_id: UUID = Field(primary_key=True, foreign_key="tasks.id")
    version: int = Field(primary_key=True)
    user_id: UUID
    spec: dict[str, Any] = _json()
    pins: dict[str, int] = _json()
    created_at: datetime | None = _time(default=True)


class Trigger(SQLModel, table=True):
    """The *When* of a task, with its cursor; what watchers live from."""

    __tablename__ = "triggers"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id")
    task_id: UUID = Field(foreign_key="tasks.id", unique=True)
    version: int
    kind: str = Field(sa_type=Text)
    capability: str = Field(sa_type=Text)
    capability_version: int
    connection_id: UUID | None = None
    spec: dict[str, Any] = _json()
    enabled: bool
    paused_reason: str | None = Field(default=None, sa_type=Text)
    overlap: str = Field(default="allow", sa_type=Text)
    misfire: str = Field(default="once", sa_type=Text)
    anchor_at: datetime | None = _time(nullable=True)
    next_fire_at: datetime | None = _time(nullable=True)
    cursor: dict[str, Any] | None = _json(default=None, nullable=True)
    cursor_version: int = Field(default=0, sa_type=BigInteger)
    consecutive_errors: int = 0
    hook_mode: str | None = Field(default=None, sa_type=Text)
    hook_hash: bytes | None = Field(default=None, unique=True, sa_type=LargeBinary)
    hook_data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    hook_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    change: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs={"server_default": text("nextval('trigger_changes')")}
    )
    updated_at: datetime | None = _time(default=True)


class Run(SQLModel, table=True):
    """One execution of a task for one event. Written by `db/runs.py` and `db/fires.py` only."""

    __tablename__ = "runs"
    id: UUID = Field(primary_key=True)
    user_id: UUID
    task_id: UUID
    task_version: int
    trigger_id: UUID | None = None
    fire_key: str | None = Field(default=None, sa_type=Text)
    replay_of: UUID | None = None
    scheduled_at: datetime | None = _time(nullable=True)
    status: str = Field(sa_type=Text)
    priority: int = Field(default=0, sa_type=SmallInteger)
    available_at: datetime | None = _time(default=True)
    owner: UUID | None = None
    assigned_at: datetime | None = _time(nullable=True)
    created_at: datetime | None = _time(default=True)
    started_at: datetime | None = _time(nullable=True)
    finished_at: datetime | None = _time(nullable=True)
    cancel_requested_at: datetime | None = _time(nullable=True)
    fence: int = Field(default=0, sa_type=BigInteger)
    claims: int = 0
    crashes: int = 0
    exclusive: bool = False
    depth: int = Field(default=0, sa_type=SmallInteger)
    input: Any = _json(default=None, nullable=True)
    error: Any = _json(default=None, nullable=True)


class Step(SQLModel, table=True):
    """One action that a run reached: its rendered input and its output."""

    __tablename__ = "steps"
    run_id: UUID = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=SmallInteger)
    key: str = Field(sa_type=Text)
    capability: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    input: Any = _json(default=None, nullable=True)
    output: Any = _json(default=None, nullable=True)
    error: Any = _json(default=None, nullable=True)
    started_at: datetime | None = _time(default=True)
    finished_at: datetime | None = _time(nullable=True)


class Attempt(SQLModel, table=True):
    """One try of a step, numbered from 1."""

    __tablename__ = "attempts"
    run_id: UUID = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=SmallInteger)
    number: int = Field(primary_key=True)
    fence: int = Field(sa_type=BigInteger)
    status: str = Field(sa_type=Text)
    sent: bool | None = None
    counted: bool = True
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    request: Any = _json(default=None, nullable=True)
    http_status: int | None = None
    error: Any = _json(default=None, nullable=True)
    started_at: datetime | None = _time(default=True)
    finished_at: datetime | None = _time(nullable=True)
    client: UUID | None = None


class Mail(SQLModel, table=True):
    """A mail of the outbox, written in the transaction that caused it."""

    __tablename__ = "mails"
    id: UUID = Field(primary_key=True)
    user_id: UUID | None = None
    recipients: list[str] = _texts()
    subject: str = Field(sa_type=Text)
    body_text: str | None = Field(default=None, sa_type=Text)
    body_html: str | None = Field(default=None, sa_type=Text)
    purpose: str = Field(sa_type=Text)
    status: str = Field(default="queued", sa_type=Text)
    attempts: int = 0
    available_at: datetime | None = _time(default=True)
    created_at: datetime | None = _time(default=True)
    sent_at: datetime | None = _time(nullable=True)
    error: str | None = Field(default=None, sa_type=Text)


class Audit(SQLModel, table=True):
    """A security-relevant act; append only."""

    __tablename__ = "audit"
    id: UUID = Field(primary_key=True)
    at: datetime | None = _time(default=True)
    user_id: UUID | None = None
    session_id: UUID | None = None
    address: str | None = Field(default=None, sa_type=Text)
    action: str = Field(sa_type=Text)
    object: str | None = Field(default=None, sa_type=Text)
    result: str = Field(sa_type=Text)
    detail: Any = _json(default=None, nullable=True)
    key_id: UUID | None = None
