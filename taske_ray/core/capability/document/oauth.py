"""The blocks `oauth`, `token` and `jwt` of an auth scheme: how a connection gets its tokens and keeps them."""

from dataclasses import dataclass, field
from typing import Final

from taske_ray.core.capability.document.expression import Expression, condition, template, value, values
from taske_ray.core.capability.document.literals import address, boolean, integer, list_of, one_of, text
from taske_ray.core.capability.document.names import Names, response_names
from taske_ray.core.capability.document.place import Fields, Place, Reader
from taske_ray.core.capability.document.request import Defaults, RequestSpec, request, under
from taske_ray.core.template.filters.guard import FilterError
from taske_ray.core.template.filters.paths import dig
from taske_ray.core.template.limits import Work

_token_paths: Final = {
    "access": "access_token",
    "refresh": "refresh_token",
    "expires_in": "expires_in",
    "expires_at": "expires_at",
    "scope": "scope",
}


@dataclass(frozen=True, slots=True)
class RefreshSpec:
    """When a token is refreshed, and what means that it never will be again (None: `invalid_grant`)."""

    skew_s: int = 300
    keep_old_refresh_token: bool = True
    revoked_when: Expression | None = None


@dataclass(frozen=True, slots=True)
class PostConnectSpec:
    """One request after connecting, and what of its answer goes into `conn.config`."""

    request: RequestSpec
    save: dict[str, Expression]


@dataclass(frozen=True, slots=True)
class OAuthSpec:
    """A provider's dialect of OAuth 2. `token_path` are paths into its answers."""

    authorize_url: str | None
    token_url: str
    refresh_url: str | None
    revoke_url: str | None
    authorize_params: Expression | None
    token_params: Expression | None
    refresh_params: Expression | None
    base_scopes: tuple[str, ...]
    scope_separator: str
    pkce: str
    client_auth: str
    body_format: str
    token_path: dict[str, str]
    save: dict[str, Expression]
    post_connect: PostConnectSpec | None
    refresh: RefreshSpec


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """Logging in with one request of the module's own."""

    request: RequestSpec
    access: Expression
    expires_in: Expression | None


@dataclass(frozen=True, slots=True)
class JwtSpec:
    """A signed assertion: itself the token or, with `token_url`, exchanged for one (RFC 7523)."""

    key: Expression
    claims: Expression
    algorithm: str
    key_encoding: str
    header: Expression | None
    lifetime_s: int
    token_url: str | None
    token_path: dict[str, str] = field(default_factory=lambda: dict(_token_paths))


def oauth(names: Names, kind: str) -> Reader[OAuthSpec | None]:
    """A reader of `oauth`; `names` are what its parameters may read."""
    answer = names.public().plus(response=response_names)

    def read(place: Place) -> OAuthSpec | None:
        required = "authorize_url token_url" if kind == "oauth2_code" else "token_url"
        fields = Fields(
            place,
            "authorize_url refresh_url revoke_url authorize_params token_params refresh_params base_scopes"
            " scope_separator pkce client_auth body_format token_path save post_connect refresh",
            required=required,
        )
        return OAuthSpec(
            authorize_url=fields.read_optional("authorize_url", address),
            token_url=fields.read("token_url", address, ""),
            refresh_url=fields.read_optional("refresh_url", address),
            revoke_url=fields.read_optional("revoke_url", address),
            authorize_params=fields.read_optional("authorize_params", value(names)),
            token_params=fields.read_optional("token_params", value(names)),
            refresh_params=fields.read_optional("refresh_params", value(names)),
            base_scopes=fields.read("base_scopes", list_of(text), ()),
            scope_separator=fields.read("scope_separator", text, " "),
            pkce=fields.read("pkce", one_of("S256 none"), "S256"),
            client_auth=fields.read("client_auth", one_of("body basic"), "body"),
            body_format=fields.read("body_format", one_of("form json"), "form"),
            token_path={**_token_paths, **fields.read("token_path", _token_path, {})},
            save=fields.read("save", values(answer), {}),
            post_connect=fields.read_optional("post_connect", _post_connect(names)),
            refresh=fields.read("refresh", _refresh(answer), RefreshSpec()),
        )

    return read


def token(names: Names) -> Reader[TokenSpec | None]:
    """A reader of `token`."""
    answer = names.public().plus(response=response_names)

    def read(place: Place) -> TokenSpec | None:
        fields = Fields(place, "expires_in", required="request access")
        asked = fields.read_optional("request", request(names))
        access = fields.read_optional("access", template(answer))
        expires_in = fields.read_optional("expires_in", template(answer))
        return None if asked is None or access is None else TokenSpec(under(asked, Defaults()), access, expires_in)

    return read


def jwt(names: Names) -> Reader[JwtSpec | None]:
    """A reader of `jwt`."""

    def read(place: Place) -> JwtSpec | None:
        fields = Fields(place, "algorithm key_encoding header lifetime_s token_url", required="key claims")
        key = fields.read_optional("key", template(names))
        claims = fields.read_optional("claims", value(names))
        algorithm = fields.read("algorithm", one_of("RS256 ES256 EdDSA HS256"), "RS256")
        key_encoding = fields.read("key_encoding", one_of("utf8 hex base64"), "utf8")
        header = fields.read_optional("header", value(names))
        lifetime_s = fields.read("lifetime_s", integer(1, 3600), 300)
        token_url = fields.read_optional("token_url", address)
        if key is None or claims is None:
            return None
        return JwtSpec(key, claims, algorithm, key_encoding, header, lifetime_s, token_url)

    return read


def _token_path(place: Place) -> dict[str, str]:
    fields = Fields(place, " ".join(_token_paths))
    return {name: fields.read(name, _path, "") for name in _token_paths if name in fields}


def _path(place: Place) -> str:
    found = text(place)
    try:
        dig(Work(), {}, found)
    except FilterError as error:
        place.fail("wrong_type", str(error))
    return found


def _post_connect(names: Names) -> Reader[PostConnectSpec | None]:
    answer = names.public().plus(response=response_names)

    def read(place: Place) -> PostConnectSpec | None:
        fields = Fields(place, "save", required="request")
        asked = fields.read_optional("request", request(names))
        save = fields.read("save", values(answer), {})
        return None if asked is None else PostConnectSpec(under(asked, Defaults()), save)

    return read


def _refresh(answer: Names) -> Reader[RefreshSpec]:
    def read(place: Place) -> RefreshSpec:
        fields = Fields(place, "skew_s keep_old_refresh_token revoked_when")
        return RefreshSpec(
            skew_s=fields.read("skew_s", integer(0, 86_400), 300),
            keep_old_refresh_token=fields.read("keep_old_refresh_token", boolean, default=True),
            revoked_when=fields.read_optional("revoked_when", condition(answer)),
        )

    return read
