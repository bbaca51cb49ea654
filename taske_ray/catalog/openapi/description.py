"""An OpenAPI description as one thing, whichever version wrote it: 3.x as it is, 2.0 (Swagger) in the terms of 3."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from taske_ray.errors import Invalid

_verbs = ("get", "head", "post", "put", "patch", "delete")
_deepest = 60
_form, _multipart, _json = "application/x-www-form-urlencoded", "multipart/form-data", "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of one path. `content` are the bodies by media type, `answers` the responses by status."""

    method: str
    path: str
    name: str
    summary: str
    tags: tuple[str, ...]
    parameters: tuple[Mapping[str, Any], ...]
    content: Mapping[str, Any]
    body_required: bool
    answers: Mapping[str, Any]


class Description:
    """Reads one description. Raises Invalid for what is none."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.is_old = str(document.get("swagger", "")).startswith("2")
        if not self.is_old and not str(document.get("openapi", "")).startswith("3"):
            raise Invalid("not an OpenAPI description: 'openapi: 3.x' or 'swagger: 2.0' is missing")
        if not isinstance(document.get("paths"), Mapping) or not document["paths"]:
            raise Invalid.at("/paths", "missing", "the description has no paths")

    @property
    def title(self) -> str:
        """What the service is called."""
        return str(_mapping(self._document.get("info")).get("title") or "Service")

    @property
    def about(self) -> str:
        """The first paragraph of its description."""
        return str(_mapping(self._document.get("info")).get("description") or "").strip().split("\n\n")[0]

    @property
    def base_url(self) -> str | None:
        """The absolute address that paths are added to; None where the description has none."""
        if self.is_old:
            host = self._document.get("host")
            schemes = self._document.get("schemes") or ["https"]
            scheme = "https" if "https" in schemes else schemes[0]
            return f"{scheme}://{host}{self._document.get('basePath') or ''}".rstrip("/") if host else None
        for server in self._document.get("servers") or ():
            url = str(_mapping(server).get("url", ""))
            for name, variable in _mapping(_mapping(server).get("variables")).items():
                url = url.replace(f"{{{name}}}", str(_mapping(variable).get("default", "")))
            if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname:
                return url.rstrip("/")
        return None

    @property
    def security_schemes(self) -> dict[str, dict[str, Any]]:
        """Ways to authenticate by name, in the terms of OpenAPI 3."""
        if not self.is_old:
            found = _mapping(_mapping(self._document.get("components")).get("securitySchemes"))
            return {name: self.resolve(scheme) for name, scheme in found.items()}
        found = _mapping(self._document.get("securityDefinitions"))
        return {name: _renewed_scheme(self.resolve(scheme)) for name, scheme in found.items()}

    def operations(self) -> Iterator[Operation]:
        """Every operation, in the order of the description; deprecated ones are left out."""
        for path, item in self._document["paths"].items():
            found = self.resolve(item)
            shared = [self.resolve(each) for each in found.get("parameters") or ()]
            for verb in _verbs:
                operation = found.get(verb)
                if isinstance(operation, Mapping) and not operation.get("deprecated"):
                    yield self._operation(verb, str(path), operation, shared)

    def resolve(self, value: Any, seen: tuple[str, ...] = (), depth: int = 0) -> Any:
        """The value with its local references written out; what refers to itself becomes `{}` there."""
        if not isinstance(value, list | Mapping):
            return value
        if depth > _deepest:
            return {}
        if isinstance(value, list):
            return [self.resolve(part, seen, depth + 1) for part in value]
        target = value.get("$ref")
        if isinstance(target, str):
            return {} if target in seen else self.resolve(self._referred(target), (*seen, target), depth + 1)
        return {str(name): self.resolve(part, seen, depth + 1) for name, part in value.items()}

    def _referred(self, target: str) -> Any:
        if not target.startswith("#/"):
            raise Invalid(f"{target}: only references inside the file can be read; bundle it first")
        found: Any = self._document
        for part in target[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or name not in found:
                raise Invalid(f"{target}: the reference leads nowhere")
            found = found[name]
        return found

    def _operation(
        self, verb: str, path: str, operation: Mapping[str, Any], shared: list[Mapping[str, Any]]
    ) -> Operation:
        own = [self.resolve(each) for each in operation.get("parameters") or ()]
        named = {(each.get("name"), each.get("in")) for each in own}
        parameters = [each for each in shared if (each.get("name"), each.get("in")) not in named] + own
        content, required = self._content(operation, parameters)
        return Operation(
            method=verb.upper(),
            path=path,
            name=str(operation.get("operationId") or f"{verb} {path}"),
            summary=str(operation.get("summary") or operation.get("description") or "").strip().split("\n")[0],
            tags=tuple(str(tag) for tag in operation.get("tags") or ()),
            parameters=tuple(each for each in parameters if each.get("in") in ("path", "query", "header")),
            content=content,
            body_required=required,
            answers=self._answers(operation),
        )

    def _content(self, operation: Mapping[str, Any], parameters: list[Any]) -> tuple[Mapping[str, Any], bool]:
        if not self.is_old:
            body = self.resolve(operation.get("requestBody") or {})
            return _mapping(body.get("content")), bool(body.get("required"))
        whole = next((each for each in parameters if each.get("in") == "body"), None)
        if whole is not None:
            return {_json: {"schema": whole.get("schema") or {}}}, bool(whole.get("required"))
        fields = [each for each in parameters if each.get("in") == "formData"]
        if not fields:
            return {}, False
        media = _multipart if any(each.get("type") == "file" for each in fields) else _form
        schema = {
            "type": "object",
            "properties": {each["name"]: _old_schema(each) for each in fields},
            "required": [each["name"] for each in fields if each.get("required")],
        }
        return {media: {"schema": schema}}, True

    def _answers(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        answers = {str(status): self.resolve(each) for status, each in _mapping(operation.get("responses")).items()}
        if self.is_old:
            return {status: {"content": {_json: _old_answer(each)}} for status, each in answers.items()}
        return answers


def schema_of(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a parameter, in either version."""
    if isinstance(parameter.get("schema"), Mapping):
        return dict(parameter["schema"])
    content = next(iter(_mapping(parameter.get("content")).values()), None)
    return dict(_mapping(_mapping(content).get("schema"))) if content else _old_schema(parameter)


def _old_schema(parameter: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("type", "format", "enum", "default", "items", "minimum", "maximum", "minLength", "maxLength", "pattern",
            "description", "x-ms-summary")  # fmt: skip
    found = {name: parameter[name] for name in kept if name in parameter}
    return found | {"type": "string"} if found.get("type") == "file" else found


def _old_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    example = next(iter(_mapping(answer.get("examples")).values()), None)
    return {"schema": answer.get("schema") or {}, **({"example": example} if example is not None else {})}


def _renewed_scheme(scheme: Mapping[str, Any]) -> dict[str, Any]:
    if scheme.get("type") == "basic":
        return {"type": "http", "scheme": "basic"}
    if scheme.get("type") == "oauth2":
        flow = {"accessCode": "authorizationCode", "application": "clientCredentials"}.get(str(scheme.get("flow")))
        return {"type": "oauth2", "flows": {flow or str(scheme.get("flow")): dict(scheme)}}
    return dict(scheme)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
