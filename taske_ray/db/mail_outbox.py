"""The mail outbox from its sender's side: claim what is due, say what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from taske_ray.core.ids import format_id
from taske_ray.db import queries
from taske_ray.db.database import Database


def message_id(mail_id: UUID) -> str:
    """The `Message-ID` of a mail, the same at every attempt to send it (durability, 6.11)."""
    return f"<{format_id('mail', mail_id)}@taske>"


@dataclass(frozen=True, slots=True)
class DueMail:
    """A mail to send now. `attempts` counts this one and is its fence; the claim ends by the database's clock."""

    id: UUID
    recipients: tuple[str, ...]
    subject: str
    body_text: str | None
    body_html: str | None
    attempts: int
    claimed_until: float


class MailOutbox:
    """Mails that wait. A mail whose sender dies comes back by itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, *, most: int) -> list[DueMail]:
        """Take at most `most` due mails."""
        rows = await self._database.fetch(queries.claim_mails, {"most": most})
        return [DueMail(**{**row, "recipients": tuple(row["recipients"])}) for row in rows]

    async def settle(self, mail: DueMail, *, error: str | None, refused: Sequence[str] = ()) -> None:
        """The mail was accepted by the server (None), or refused; the tenth refusal is final.

        `refused`: for whom, when others were given it; from now on it is for them alone. It only counts while nobody
        has claimed the mail after this claim.
        """
        values = {"id": mail.id, "attempt": mail.attempts, "error": error, "refused": list(refused) or None}
        await self._database.fetch(queries.settle_mail, values)
