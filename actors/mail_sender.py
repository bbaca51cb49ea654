"""MailSender: sends the mails of the outbox, by the rules that calls go by: a claim with an end, an intent, a fence.

A claim is for so long and counts as an attempt, committed before the server hears anything. What cannot be sent within
the claim is not begun, so that whoever claims the mail after it is the only one who sends it; and what became of it
counts only for the claim that it belongs to (durability, 6.11).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from taske_ray.core.redaction import Redactor
from taske_ray.db.mail_outbox import DueMail, MailOutbox, message_id
from taske_ray.integrations.mail import Mail, read_smtp_url, send_mail

_at_once: Final = 5
_limit_s: Final = 45.0  # a first claim lasts a minute
_log = logging.getLogger(__name__)


class MailSender:
    """One of those that share the outbox. `now_s`: the database's clock as this process knows it."""

    def __init__(
        self,
        outbox: MailOutbox,
        *,
        smtp_url: str,
        sender: str,
        now_s: Callable[[], float],
        limit_s: float = _limit_s,
    ) -> None:
        self._outbox = outbox
        self._smtp_url = smtp_url
        self._sender = sender
        self._now_s = now_s
        self._limit_s = limit_s
        self._redactor = Redactor([smtp_url, read_smtp_url(smtp_url).password])

    async def work(self) -> None:
        """Send what is due, a few at once, for as long as there is more and the server takes all of it."""
        more = True
        while more:
            mails = await self._outbox.claim(most=_at_once)
            sent = await asyncio.gather(*(self._sent(mail) for mail in mails))
            more = len(mails) == _at_once and all(sent)

    async def _sent(self, mail: DueMail) -> bool:
        """Whether the server took it."""
        if self._now_s() + self._limit_s > mail.claimed_until:
            _log.warning("a mail was claimed too long ago to be sent now; it is due again when its claim is over")
            return False
        error, refused = await self._send(mail)
        await self._outbox.settle(mail, error=error, refused=refused)
        return error is None

    async def _send(self, mail: DueMail) -> tuple[str | None, Sequence[str]]:
        """What went wrong, and for which recipients if not for all."""
        message = Mail(
            to=mail.recipients,
            subject=mail.subject,
            text=mail.body_text,
            html=mail.body_html,
            message_id=message_id(mail.id),
            sender=self._sender,
        )
        try:
            async with asyncio.timeout(self._limit_s):
                refused = await send_mail(self._smtp_url, message)
        except TimeoutError:
            return "The mail server did not take the mail in time.", ()
        except Exception as error:  # noqa: BLE001 - whatever the server said, the mail is tried again
            told = self._redactor.text(str(error))
            _log.warning("a mail was not sent: %s", told)
            return told[:500], ()
        return (f"refused for {', '.join(refused)}" if refused else None), refused
