"""Calls to a provider: one at a time, small, without redirects, over https or where the operator said so."""

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused
from taske_ray.integrations.sign_in.identity import ProviderAway, SignInRefused
from taske_ray.integrations.transport import Transport

_timeout_s = 10.0
_max_bytes = 256 * 1024
_ok, _server_error = 200, 500
_log = logging.getLogger(__name__)


class ProviderCalls:
    """The calls to one provider; `name` is for the log, which never gets what was said."""

    def __init__(self, name: str, transport: Transport) -> None:
        self._name = name
        self._transport = transport

    async def get(self, url: str, *, token: str | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """A JSON document; `token` is the person's. Raises ProviderAway, SignInRefused."""
        bearer = {"authorization": f"Bearer {token}"} if token else {}
        return self._read(await self._send("GET", url, {**(headers or {}), **bearer}))

    async def post(self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON answer to a form. Raises ProviderAway, SignInRefused."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self._read(await self._send("POST", url, {**kind, **(headers or {})}, urlencode(form).encode()))

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> HttpResponse:
        request = HttpRequest(
            method=method,
            url=url,
            headers={"accept": "application/json", **headers},
            body=body,
            credentialed=True,  # also a key set: whoever can change it decides who people are
            max_bytes=_max_bytes,
        )
        try:
            return await self._transport.send(request, timeout_s=_timeout_s)
        except (NotSent, MaybeSent, Refused) as error:
            raise self._away(error.code) from None

    def _read(self, response: HttpResponse) -> Any:
        try:
            document = json.loads(response.body)
        except (ValueError, RecursionError):
            document = None
        if response.status == _ok and document is not None:
            return document
        if response.status >= _server_error or response.status == _ok:
            raise self._away(f"status {response.status}")
        raise SignInRefused(_named_error(document) or f"status {response.status}")

    def _away(self, reason: str) -> ProviderAway:
        _log.warning("the provider %s could not be asked: %s", self._name, reason)
        return ProviderAway(retry_after_s=5)


def _named_error(document: object) -> str | None:
    """The error code in an answer (RFC 6749, 5.2); its other members may say anything."""
    error = document.get("error") if isinstance(document, dict) else None
    return error[:50] if isinstance(error, str) and error.isprintable() else None
