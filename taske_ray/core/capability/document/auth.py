"""Auth schemes of a module: what a connection holds, and what is put on each request (format, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from taske_ray.core.capability.document import oauth as blocks
from taske_ray.core.capability.document.expression import Expression, template, value
from taske_ray.core.capability.document.hosts import is_host_pattern
from taske_ray.core.capability.document.literals import identifier, localised, one_of
from taske_ray.core.capability.document.names import Names, Tree, response_names, tree_of
from taske_ray.core.capability.document.oauth import JwtSpec, OAuthSpec, TokenSpec
from taske_ray.core.capability.document.place import Fields, Place, Reader
from taske_ray.core.capability.document.request import RequestSpec, request
from taske_ray.core.capability.document.schema import object_schema, properties_of
from taske_ray.core.capability.params import ParamsSchema

_types: Final = "none api_key bearer basic headers oauth2_code oauth2_client_credentials token_request jwt_bearer"
_token_types: Final = frozenset({"oauth2_code", "oauth2_client_credentials", "token_request", "jwt_bearer"})
_secret: Final = {"type": "string", "minLength": 1, "x-secret": True}
_client: Final = {"client_id": {"type": "string", "minLength": 1}, "client_secret": _secret}
_no_fields: Final[dict[str, Any]] = {"type": "object", "properties": {}}
_default_fields: Final[dict[str, dict[str, Any]]] = {
    "bearer": {"type": "object", "required": ["token"], "properties": {"token": _secret}},
    "basic": {
        "type": "object",
        "required": ["username", "password"],
        "properties": {"username": {"type": "string", "minLength": 1}, "password": _secret},
    },
    "oauth2_code": {"type": "object", "properties": _client},
    "oauth2_client_credentials": {"type": "object", "properties": _client},
}
app_names: Final[Tree] = {"client_id": None, "client_secret": None, "secret": None}


@dataclass(frozen=True, slots=True)
class Apply:
    """What a scheme adds to each request."""

    headers: Expression | None = None
    query: Expression | None = None
    body: Expression | None = None
    path_prefix: Expression | None = None


@dataclass(frozen=True, slots=True)
class AuthScheme:
    """One way to connect; `oauth`, `token` and `jwt` are there for the types that get their tokens by them."""

    id: str
    type: str
    name: str | dict[str, str]
    owner: str
    client: str
    fields: ParamsSchema
    secret_names: frozenset[str]
    allowed_hosts: tuple[Expression, ...] | None
    apply: Apply
    test: RequestSpec | None
    label: Expression | None
    names: Tree
    oauth: OAuthSpec | None = None
    token: TokenSpec | None = None
    jwt: JwtSpec | None = None

    @property
    def has_secret(self) -> bool:
        """Whether a connection of this scheme holds anything secret."""
        return self.type in _token_types or bool(self.secret_names)

    @property
    def can_be_made(self) -> bool:
        """Whether a connection can be made from fields alone: nobody has to consent in a browser."""
        return self.type not in ("none", "oauth2_code")

    @property
    def requests(self) -> tuple[RequestSpec, ...]:
        """Every request of the scheme's own."""
        found = [] if self.test is None else [self.test]
        if self.token is not None:
            found.append(self.token.request)
        if self.oauth is not None and self.oauth.post_connect is not None:
            found.append(self.oauth.post_connect.request)
        return tuple(found)

    @property
    def has_tokens(self) -> bool:
        """Whether its connections get tokens, which run out and are got anew."""
        return self.type in _token_types

    @property
    def takes_client(self) -> bool:
        """Whether it acts as an OAuth client: its own, or the instance's."""
        return self.type.startswith("oauth2")

    def split(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields of a new connection as (`config`, `secret`). Raises `Invalid` with pointers into `given`."""
        filled = self.fields.fill(given, now="")
        config = {name: part for name, part in filled.items() if name not in self.secret_names}
        return config, {name: part for name, part in filled.items() if name in self.secret_names}


def implied_scheme() -> AuthScheme:
    """The scheme of a module that names none: nothing to connect."""
    return auth_scheme(Place({"id": "none", "type": "none"}))


def auth_scheme(place: Place) -> AuthScheme:
    """Reads one element of `auth`."""
    fields = Fields(
        place, "name owner client fields allowed_hosts apply test label oauth token jwt", required="id type"
    )
    kind = fields.read("type", one_of(_types, reserved="oauth1 aws_sigv4"), "none")
    client = fields.read("client", one_of("either instance connection"), "either")
    schema = {"additionalProperties": False, **_connection_fields(fields, kind, client)}
    secret = frozenset(name for name, part in properties_of(schema).items() if part.get("x-secret") is True)
    tree = _connection_names(kind, schema, secret, _saved(place))
    names = Names({"conn": tree})
    apply = _apply(fields, kind, names.private(), secret)
    return AuthScheme(
        id=fields.read("id", identifier, ""),
        type=kind,
        name=fields.read("name", localised, fields.read("id", identifier, "")),
        owner=fields.read("owner", one_of("connection instance"), "connection"),
        client=client,
        fields=ParamsSchema(schema),
        secret_names=secret,
        allowed_hosts=fields.read_optional("allowed_hosts", bound_hosts(names)),
        apply=apply,
        test=fields.read_optional("test", request(names.plus(app=app_names).private())),
        label=fields.read_optional("label", template(names.plus(response=response_names))),
        names=tree,
        **_blocks(fields, kind, names),
    )


def _connection_fields(fields: Fields, kind: str, client: str) -> dict[str, Any]:
    default = _default_fields.get(kind, _no_fields)
    if kind.startswith("oauth2") and client == "instance":
        default = _no_fields
    elif kind.startswith("oauth2") and client == "connection":  # a public client has no secret, but proves its code
        default = {**default, "required": ["client_id"] if kind == "oauth2_code" else [*_client]}
    found: dict[str, Any] = fields.read("fields", object_schema, default) or default
    if kind.startswith("oauth2") and client == "connection" and "client_id" not in properties_of(found):
        fields.place.fail("missing", "with client 'connection' the fields need a client_id", "/fields")
    return found


def _connection_names(kind: str, schema: Mapping[str, Any], secret: frozenset[str], saved: frozenset[str]) -> Tree:
    tokens = {"access_token", "refresh_token"} if kind in _token_types else set()
    declared = set(properties_of(schema))
    return {"config": tree_of((declared - secret) | saved), "secret": tree_of(secret | tokens)}


def _saved(place: Place) -> frozenset[str]:
    """What the OAuth block writes to `conn.config`; read by name here, checked with the block."""
    oauth = place.value.get("oauth") if isinstance(place.value, dict) else None
    if not isinstance(oauth, dict):
        return frozenset()
    after = oauth.get("post_connect")
    maps = [oauth.get("save"), after.get("save") if isinstance(after, dict) else None]
    return frozenset(name for each in maps if isinstance(each, dict) for name in each)


def _apply(fields: Fields, kind: str, names: Names, secret: frozenset[str]) -> Apply:
    place = fields.place_of("apply")
    if place is not None:
        return _written_apply(place, names)
    if kind in ("api_key", "headers"):
        fields.place.fail("missing", f"'apply' is required for type {kind}", "/apply")
    text = _default_header(kind, secret)
    if text is None:
        return Apply()
    place = Place({"authorization": text}, f"{fields.place.pointer}/apply", fields.place.report)
    return Apply(headers=value(names)(place))


def _written_apply(place: Place, names: Names) -> Apply:
    fields = Fields(place, "headers query body path_prefix")
    return Apply(
        headers=fields.read_optional("headers", value(names)),
        query=fields.read_optional("query", value(names)),
        body=fields.read_optional("body", value(names)),
        path_prefix=fields.read_optional("path_prefix", template(names)),
    )


def _default_header(kind: str, secret: frozenset[str]) -> str | None:
    if kind == "bearer":
        return "Bearer {{ conn.secret.token }}"
    if kind in _token_types:
        return "Bearer {{ conn.secret.access_token }}"
    if kind == "basic":
        user = "conn.secret.username" if "username" in secret else "conn.config.username"
        password = "conn.secret.password" if "password" in secret else "conn.config.password"
        return f"Basic {{{{ {user} | append: ':' | append: {password} | base64_encode }}}}"
    return None


def bound_hosts(names: Names) -> Reader[tuple[Expression, ...]]:
    """A reader of `allowed_hosts`: patterns, or one template that gives them."""

    def read(place: Place) -> tuple[Expression, ...]:
        places = [place] if isinstance(place.value, str) else place.items()
        if not 1 <= len(places) <= 20:  # noqa: PLR2004 - the format's own figure
            place.fail("out_of_range", "must have 1 to 20 elements")
        return tuple(_bound_host(child, names.only("conn")) for child in places)

    return read


def _bound_host(place: Place, names: Names) -> Expression:
    found = template(names)(place)
    if found.constant and isinstance(place.value, str) and not is_host_pattern(place.value):
        place.fail("bad_host", "must be 'host', '*.suffix', 'host:port' or '*'")
    return found


def _blocks(fields: Fields, kind: str, names: Names) -> dict[str, Any]:
    """The blocks of the types whose connections get tokens."""
    private = names.plus(app=app_names).private()
    found = {
        "oauth": fields.read_optional("oauth", blocks.oauth(private, kind)),
        "token": fields.read_optional("token", blocks.token(private)),
        "jwt": fields.read_optional("jwt", blocks.jwt(private)),
    }
    needed = {"token_request": "token", "jwt_bearer": "jwt"}.get(kind, "oauth" if kind.startswith("oauth2") else None)
    if needed is not None and needed not in fields:
        fields.place.fail("missing", f"'{needed}' is required for type {kind}", f"/{needed}")
    return found
