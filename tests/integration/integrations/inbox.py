"""A real SMTP server that keeps what arrives."""

import asyncio
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP


class Inbox:
    """Keeps what arrives; refuses one address, and everything with a certain subject."""

    def __init__(self):
        self.port = 0
        self.envelopes = []

    @property
    def url(self):
        """Its address."""
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - the library's name
        """Bounce unknown people."""
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - the library's name
        """Keep it, or ask for later."""
        if b"busy" in envelope.content:
            return "451 try later"
        self.envelopes.append(envelope)
        return "250 OK"


@asynccontextmanager
async def receiving(**how):
    """The server, running; `how` is for the library."""
    inbox = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(inbox, enable_SMTPUTF8=True, **how), "127.0.0.1", 0)
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        server.close()
