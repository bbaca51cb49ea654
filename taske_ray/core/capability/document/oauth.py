"""The blocks `oauth` and `jwt` of an auth scheme: checked here, kept as data for the flows that use them."""

from typing import Any

from taske_ray.core.capability.document.expression import condition, template, value, values
from taske_ray.core.capability.document.literals import address, boolean, integer, list_of, one_of, text
from taske_ray.core.capability.document.names import Names, response_names
from taske_ray.core.capability.document.place import Fields, Place, Reader
from taske_ray.core.capability.document.request import request


def oauth(names: Names, kind: str) -> Reader[dict[str, Any]]:
    """A reader of `oauth`; `names` are what its parameters may read."""
    answer = names.public().plus(response=response_names)

    def read(place: Place) -> dict[str, Any]:
        required = "authorize_url token_url" if kind == "oauth2_code" else "token_url"
        fields = Fields(
            place,
            "authorize_url refresh_url revoke_url authorize_params token_params refresh_params base_scopes"
            " scope_separator pkce client_auth body_format token_path save post_connect refresh",
            required=required,
        )
        urls = {name: fields.read_optional(name, address) for name in _urls}
        params = {name: fields.read_optional(name, value(names)) for name in _params}
        return {
            **urls,
            **params,
            "base_scopes": fields.read("base_scopes", list_of(text), ()),
            "scope_separator": fields.read("scope_separator", text, " "),
            "pkce": fields.read("pkce", one_of("S256 none"), "S256"),
            "client_auth": fields.read("client_auth", one_of("body basic"), "body"),
            "body_format": fields.read("body_format", one_of("form json"), "form"),
            "token_path": {**_token_paths, **fields.read("token_path", _token_path, {})},
            "save": fields.read("save", values(answer), {}),
            "post_connect": fields.read_optional("post_connect", _post_connect(names)),
            "refresh": fields.read("refresh", _refresh(names), {"skew_s": 300, "keep_old_refresh_token": True}),
        }

    return read


_urls = ("authorize_url", "token_url", "refresh_url", "revoke_url")
_params = ("authorize_params", "token_params", "refresh_params")
_token_paths = {name: name for name in ("access", "refresh", "expires_in", "expires_at", "scope")}
_token_paths |= {"access": "access_token", "refresh": "refresh_token"}


def _token_path(place: Place) -> dict[str, str]:
    fields = Fields(place, " ".join(_token_paths))
    return {name: fields.read(name, text, "") for name in _token_paths if name in fields}


def _post_connect(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "save", required="request")
        answer = names.public().plus(response=response_names)
        return {
            "request": fields.read_optional("request", request(names)),
            "save": fields.read("save", values(answer), {}),
        }

    return read


def _refresh(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "skew_s keep_old_refresh_token revoked_when")
        return {
            "skew_s": fields.read("skew_s", integer(0, 86_400), 300),
            "keep_old_refresh_token": fields.read("keep_old_refresh_token", boolean, default=True),
            "revoked_when": fields.read_optional(
                "revoked_when", condition(names.public().plus(response=response_names))
            ),
        }

    return read


def jwt(names: Names) -> Reader[dict[str, Any]]:
    """A reader of `jwt`."""

    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "algorithm key_encoding header lifetime_s token_url", required="key claims")
        return {
            "key": fields.read_optional("key", template(names)),
            "claims": fields.read_optional("claims", value(names)),
            "algorithm": fields.read("algorithm", one_of("RS256 ES256 EdDSA HS256"), "RS256"),
            "key_encoding": fields.read("key_encoding", one_of("utf8 hex base64"), "utf8"),
            "header": fields.read_optional("header", value(names)),
            "lifetime_s": fields.read("lifetime_s", integer(1, 3600), 300),
            "token_url": fields.read_optional("token_url", address),
        }

    return read
