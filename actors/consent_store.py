"""Consents in the database: taken once, and what they brought stored with their connection."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from actors.data_keys import DataKeys
from taske_ray.core.capability.tokens import token_names
from taske_ray.core.outcome import Failed
from taske_ray.db import consents
from taske_ray.db.database import Database
from taske_ray.integrations.credentials import open_consent_part
from taske_ray.integrations.ports import Consent, NewCredential, OpenedConnection
from taske_ray.security.credentials import hints, seal_credentials
from taske_ray.security.sealed import Place, VaultError
from taske_ray.services.sealing import Sealer


class ConsentStore:
    """The consents that one IntegrationClient exchanges."""

    def __init__(self, database: Database, keys: DataKeys, sealer: Sealer) -> None:
        self._database = database
        self._keys = keys
        self._sealer = sealer

    async def begun(self, user_id: UUID, consent_id: UUID) -> Consent | None:
        """A consent whose user is still to be sent to the provider; there is no code yet."""
        row = await consents.begun_consent(self._database, user_id=user_id, consent_id=consent_id)
        return None if row is None else await self._opened(row, code="", verifier="")

    async def take(self, user_id: UUID, consent_id: UUID) -> Consent | None:
        """A consent of this user, once, in plain text."""
        row = await consents.take_consent(self._database, user_id=user_id, consent_id=consent_id)
        if row is None:
            return None
        proof = json.loads(await self._part(row, "proof_key", "proof_sealed"))
        code = (await self._part(row, "code_key", "code_sealed")).decode()
        return await self._opened(row, code=code, verifier=proof["verifier"])

    async def _opened(self, row: dict[str, Any], *, code: str, verifier: str) -> Consent:
        secret = {} if row["sealed"] is None else json.loads(await self._part(row, "data_key", "sealed"))
        return Consent(
            id=row["id"],
            user_id=row["user_id"],
            connection_id=row["connection_id"],
            owner=row["connection_owner"],
            reconnects=row["reconnects"],
            module=row["module"],
            auth=row["auth"],
            name=row["name"],
            config=row["config"],
            secret=secret,
            code=code,
            verifier=verifier,
            redirect_uri=row["redirect_uri"],
            scopes=tuple(row["scopes"]),
        )

    async def keep(self, consent: Consent, credential: NewCredential) -> bool:
        """Seal and store what it brought; False where the connection is gone."""
        key = await self._sealer.key_for(consent.owner, "credentials")
        declared = {name: value for name, value in credential.secret.items() if name not in token_names}
        return await consents.keep_consent(
            self._database,
            id=consent.id,
            connection_id=consent.connection_id,
            owner=consent.owner,
            reconnects=consent.reconnects,
            module=consent.module,
            auth=consent.auth,
            name=consent.name,
            label=credential.label,
            config=credential.config,
            data_key=key.id,
            sealed=seal_credentials(key, consent.connection_id, credential.secret),
            hints=hints(declared),
            scopes=list(credential.scopes),
            token_at=credential.token_at,
            refresh_from=credential.refresh_from,
            expires_at=credential.expires_at,
        )

    async def refuse(self, user_id: UUID, consent_id: UUID, failed: Failed) -> None:
        """Write down why nothing came of it."""
        error = {"class": failed.error_class.value, "code": failed.code, "message": failed.message}
        await consents.refuse_consent(self._database, user_id=user_id, consent_id=consent_id, error=error)

    async def with_tokens(self, user_id: UUID) -> Sequence[UUID]:
        """The connections of a user that hold tokens of a provider."""
        return await consents.with_tokens(self._database, user_id)

    async def is_shared(self, opened: OpenedConnection, *, leaving: UUID | None = None) -> bool:
        """Whether another connection of the same scheme goes by the same name, or by none."""
        assert opened.id is not None
        return await consents.is_shared(self._database, opened.id, leaving=leaving)

    async def _part(self, row: dict[str, Any], key: str, column: str) -> bytes:
        stored = row[column]
        if stored is None:
            raise VaultError
        place = Place("connection_authorizations", row["id"], column)
        if column == "proof_sealed":  # sealed where the visit was begun
            place = Place("authorization_states", row["proof_row"], "sealed")
        return open_consent_part(await self._keys.get(row[key], row["user_id"]), place, bytes(stored))
