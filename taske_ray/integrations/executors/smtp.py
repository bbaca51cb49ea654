"""`smtp_account`: sends a mail through the user's own server (module `email`)."""

import ssl
from email.message import EmailMessage
from typing import Any, Final

import aiosmtplib

from taske_ray.core.capability import ConnectionValues
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Succeeded, Unknown
from taske_ray.errors import Invalid
from taske_ray.integrations.executors.port import Job, Place, unreachable_errors
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused
from taske_ray.integrations.mail import Mail, deliver, read_address, write_message
from taske_ray.integrations.transport import Transport

_ports: Final = {"tls": 465, "starttls": 587, "none": 25}
_auth_failed: Final = frozenset({530, 534, 535, 538})


class SmtpAccount:
    """Speaks SMTP to servers that users name."""

    def __init__(self, transport: Transport, *, context: ssl.SSLContext | None = None) -> None:
        self._transport = transport
        self._context = context or ssl.create_default_context()

    async def perform(self, job: Job) -> Outcome:
        """Send one mail; refused recipients are told beside those that were taken."""
        params, place = job.params, _place(job.connection)
        mail = Mail(
            to=params["to"],
            subject=params["subject"],
            text=params["text"],
            html=params["html"],
            message_id=f"<{job.call.run_id or job.call.id}.{job.call.step}@taske>",
            sender=place.values["from"],
        )
        try:
            message = write_message(mail)
        except Invalid as error:
            return place.failed(ErrorClass.INVALID, error.code, error.message, sent=False)
        client = await self._connected(place, job.call.timeout_s)
        if isinstance(client, Failed):
            return client
        try:
            if not job.may_send():
                return place.failed(ErrorClass.TRANSIENT, "lease_over", "The run may have been taken over.", sent=False)
            return await _sent(client, place, mail, message)
        finally:
            client.close()

    async def test(self, connection: ConnectionValues) -> Succeeded | Failed:
        """Connect and log in."""
        place = _place(connection)
        client = await self._connected(place, 30.0)
        if isinstance(client, Failed):
            return client
        client.close()
        return Succeeded({"label": str(read_address(place.values["from"]).addr_spec)})

    async def _connected(self, place: Place, timeout_s: float) -> aiosmtplib.SMTP | Failed:
        security = place.values.get("security") or "tls"
        try:
            sock = await self._transport.dial(place.host, place.port)
        except unreachable_errors as error:
            return place.unreachable(error)
        client = aiosmtplib.SMTP(
            hostname=place.host,
            sock=sock,
            username=place.values.get("username"),
            password=place.values.get("password"),
            use_tls=security == "tls",
            start_tls=security == "starttls",
            tls_context=self._context if security != "none" else None,
            timeout=timeout_s,
        )
        try:
            await client.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            return _refused_login(place, error)
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            sock.close()
            message = f"The mail server cannot be used: {type(error).__name__}."
            return place.failed(ErrorClass.TRANSIENT, "smtp_unreachable", message, sent=False)
        return client


def _place(connection: ConnectionValues) -> Place:
    return Place(connection, _ports[connection.config.get("security") or "tls"])


def _refused_login(place: Place, error: aiosmtplib.SMTPAuthenticationError) -> Failed:
    final = error.code in _auth_failed
    message = f"The mail server refused the login: {error.code} {error.message}"
    return place.failed(ErrorClass.AUTH_REVOKED if final else ErrorClass.TRANSIENT, "smtp_login", message, sent=False)


async def _sent(client: aiosmtplib.SMTP, place: Place, mail: Mail, message: EmailMessage) -> Outcome:
    try:
        refused = await deliver(client, message, mail)
    except NotSent as error:
        return place.failed(error.error_class, error.code, error.message, sent=False)
    except Refused as error:
        return place.failed(error.error_class, error.code, error.message)
    except MaybeSent as error:
        return Unknown(place.redactor.text(error.message), error.code)
    output: dict[str, Any] = {"message_id": mail.message_id, "refused": list(refused)}
    return Succeeded(output)
