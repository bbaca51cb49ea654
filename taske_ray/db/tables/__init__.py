"""The rows: one class a table, no behaviour. The schema's source is `migrations/`; a test compares the two."""

from taske_ray.db.tables.accounts import (
    ApiKey,
    AuthorizationState,
    CodeFailure,
    LinkedIdentity,
    LoginChallenge,
    LoginFailure,
    OneTimeToken,
    RecoveryCode,
    RefreshToken,
    Session,
    TotpFactor,
    User,
)
from taske_ray.db.tables.catalog import Capability, Module
from taske_ray.db.tables.connections import Connection, ConnectionAuthorization, OAuthClient
from taske_ray.db.tables.keys import DataKey, SigningKey
from taske_ray.db.tables.requests import Audit, IdempotencyKey, Mail
from taske_ray.db.tables.runs import Attempt, Run, Step
from taske_ray.db.tables.tasks import Task, TaskVersion, Trigger

__all__ = [
    "ApiKey",
    "Attempt",
    "Audit",
    "AuthorizationState",
    "Capability",
    "CodeFailure",
    "Connection",
    "ConnectionAuthorization",
    "DataKey",
    "IdempotencyKey",
    "LinkedIdentity",
    "LoginChallenge",
    "LoginFailure",
    "Mail",
    "Module",
    "OAuthClient",
    "OneTimeToken",
    "RecoveryCode",
    "RefreshToken",
    "Run",
    "Session",
    "SigningKey",
    "Step",
    "Task",
    "TaskVersion",
    "TotpFactor",
    "Trigger",
    "User",
]
