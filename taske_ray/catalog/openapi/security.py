"""Ways to connect from the security schemes of a description; what it does not say becomes a question."""

from collections.abc import Iterator, Mapping
from typing import Any

from taske_ray.catalog.openapi.naming import identifier, unique

Todo = dict[str, str]


def schemes(found: Mapping[str, Mapping[str, Any]], only: str | None) -> tuple[list[dict[str, Any]], list[Todo]]:
    """The `auth` of a module document, and what is still to be said; `only` keeps the scheme of that name."""
    auth: list[dict[str, Any]] = []
    todos: list[Todo] = []
    for name, scheme in found.items():
        if only is not None and name != only:
            continue
        made = _scheme(scheme)
        if made is None:
            todos.append(_todo("/auth", f"How is '{name}' ({scheme.get('type')}) used? The format has no such scheme."))
            continue
        scheme_id = unique(identifier(name, "auth"), {each["id"] for each in auth})
        todos += [_todo(f"/auth/{len(auth)}{place}", question) for place, question in _questions(made)]
        auth.append({"id": scheme_id, **made})
    return auth, todos


def _scheme(scheme: Mapping[str, Any]) -> dict[str, Any] | None:
    kind, http = scheme.get("type"), str(scheme.get("scheme", "")).lower()
    if kind == "http" and http in ("bearer", "basic"):
        return {"type": http}
    if kind == "apiKey" and scheme.get("in") in ("header", "query"):
        return _key(str(scheme.get("name", "")), str(scheme["in"]))
    if kind == "oauth2":
        return _oauth(scheme.get("flows") or {})
    return None


def _key(name: str, place: str) -> dict[str, Any]:
    field = {"type": "string", "minLength": 1, "x-secret": True, "title": "API key"}
    fields = {"type": "object", "required": ["key"], "additionalProperties": False, "properties": {"key": field}}
    where = "headers" if place == "header" else "query"
    return {"type": "api_key", "fields": fields, "apply": {where: {name: "{{ conn.secret.key }}"}}}


def _oauth(flows: Mapping[str, Any]) -> dict[str, Any] | None:
    code, client = flows.get("authorizationCode"), flows.get("clientCredentials")
    if isinstance(code, Mapping):
        urls = {"authorize_url": code.get("authorizationUrl"), "token_url": code.get("tokenUrl")}
        if code.get("refreshUrl"):
            urls["refresh_url"] = code["refreshUrl"]
        return {"type": "oauth2_code", "oauth": urls}
    if isinstance(client, Mapping):
        return {"type": "oauth2_client_credentials", "oauth": {"token_url": client.get("tokenUrl")}}
    return None


def _questions(scheme: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "/test", "Which cheap request shows that a connection works (`test`), and what is it called (`label`)?"
    if scheme["type"] == "oauth2_code":
        yield "/oauth", "Does the service take PKCE (default S256), and which scopes does each capability need?"


def _todo(pointer: str, question: str) -> Todo:
    return {"pointer": pointer, "question": question}
