"""A Request in a document: where it goes and what it carries, each part compiled (format, section 4)."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from taske_ray.core.capability.document.expression import Expression, constant, template, value, values
from taske_ray.core.capability.document.literals import boolean, integer, is_address, one_of
from taske_ray.core.capability.document.names import Names
from taske_ray.core.capability.document.place import Fields, Place, Reader

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ENCODINGS: Final = ("auto", "json", "form", "multipart", "text", "raw", "none")
_array_styles: Final = "repeat comma brackets"
_engine_headers: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "forwarded", "te", "trailer", "upgrade"}
)
_hole: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_whole: Final = re.compile(r"\s*\{\{.*\}\}\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: a literal with `{name}` places (relative to `base_url` or not), or one whole template."""

    relative: bool
    pieces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    url: Expression | None = None


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """How one request is built. `redirects` None: by the method."""

    pointer: str
    method: Expression
    target: Target
    path_params: dict[str, Expression]
    query: Expression | None
    headers: Expression | None
    body: Expression | None
    encoding: Expression
    query_arrays: str
    form_arrays: str
    keep_null: bool
    timeout_s: int
    redirects: int | None
    reads_secret: bool = field(default=False)

    @property
    def literal_method(self) -> str | None:
        """The method, where it does not depend on parameters."""
        return str(self.method.evaluate({})).upper() if self.method.constant else None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a module merges under each of its requests."""

    headers: Expression | None = None
    timeout_s: int = 30
    encoding: str = "auto"
    decode: str = "auto"


def request(names: Names) -> Reader[RequestSpec]:
    """A reader of a Request whose url, query, headers and body may read secrets if `names` allows it."""

    def read(place: Place) -> RequestSpec:
        fields = Fields(
            place,
            "method path url path_params query headers body encoding query_arrays form_arrays keep_null timeout_s"
            " redirects",
        )
        target = _target(fields, names)
        parts = {name: fields.read_optional(name, value(names)) for name in ("query", "headers", "body")}
        _refuse_engine_headers(fields.place_of("headers"))
        path_params = _path_params(fields, target, names)
        carriers = [part for part in (*parts.values(), target.url, *path_params.values()) if part is not None]
        return RequestSpec(
            pointer=place.pointer,
            method=fields.read("method", _word(names.public(), METHODS), constant("GET", f"{place.pointer}/method")),
            target=target,
            path_params=path_params,
            **parts,
            encoding=fields.read(
                "encoding", _word(names.public(), ENCODINGS), constant("", f"{place.pointer}/encoding")
            ),
            query_arrays=fields.read("query_arrays", one_of(_array_styles), "repeat"),
            form_arrays=fields.read("form_arrays", one_of(_array_styles), "repeat"),
            keep_null=fields.read("keep_null", boolean, default=False),
            timeout_s=fields.read("timeout_s", integer(1, 300), 0),
            redirects=fields.read_optional("redirects", integer(0, 5)),
            reads_secret=any(part.reads_secret for part in carriers),
        )

    return read


def under(spec: RequestSpec, defaults: Defaults) -> RequestSpec:
    """A request with the module's defaults for what it leaves out (headers are merged when it is built)."""
    stated = not spec.encoding.constant or spec.encoding.evaluate({})
    return replace(
        spec,
        timeout_s=spec.timeout_s or defaults.timeout_s,
        encoding=spec.encoding if stated else constant(defaults.encoding, spec.encoding.pointer),
    )


def defaults(names: Names) -> Reader[Defaults]:
    """A reader of a module's `defaults`."""

    def read(place: Place) -> Defaults:
        fields = Fields(place, "headers timeout_s encoding decode")
        _refuse_engine_headers(fields.place_of("headers"))
        return Defaults(
            headers=fields.read_optional("headers", value(names)),
            timeout_s=fields.read("timeout_s", integer(1, 300), 30),
            encoding=fields.read("encoding", one_of(" ".join(ENCODINGS)), "auto"),
            decode=fields.read("decode", one_of(DECODINGS), "auto"),
        )

    return read


DECODINGS: Final = "auto json ndjson xml feed csv text binary"


def is_engine_header(name: str) -> bool:
    """Whether the engine alone sets this header."""
    lowered = name.lower()
    return lowered in _engine_headers or lowered.startswith("x-forwarded-")


def _word(names: Names, words: tuple[str, ...]) -> Reader[Expression]:
    """A template whose value is one of some words; a literal one is checked at once, in any case of letters."""

    def read(place: Place) -> Expression:
        found = template(names)(place)
        if found.constant and isinstance(place.value, str) and place.value not in words:
            place.fail("bad_enum", f"must be one of: {', '.join(words)}")
        return found

    return read


def _target(fields: Fields, names: Names) -> Target:
    path, url = fields.place_of("path"), fields.place_of("url")
    if (path is None) == (url is None):
        if isinstance(fields.place.value, dict):
            fields.place.fail("one_of_required", "exactly one of 'path' and 'url' is required")
        return Target(relative=True)
    place = path or url
    assert place is not None
    if not isinstance(place.value, str):
        place.fail("wrong_type", "must be a text")
        return Target(relative=True)
    if url is not None and _whole.fullmatch(url.value):
        return Target(relative=False, url=template(names)(url))
    return _literal_target(place, relative=path is not None)


def _literal_target(place: Place, *, relative: bool) -> Target:
    text = place.value
    if "{{" in text or "{%" in text:
        place.fail("template_not_allowed", "must be literal with {name} places; 'url' may be exactly one {{ … }}")
        return Target(relative=relative)
    if relative and not text.startswith("/"):
        place.fail("bad_url", "must start with '/'")
    if not relative and not is_address(_hole.sub("x", text)):
        place.fail("bad_url", "must be an absolute https URL")
    parts = _hole.split(text)
    return Target(relative=relative, pieces=tuple(parts[::2]), names=tuple(parts[1::2]))


def _path_params(fields: Fields, target: Target, names: Names) -> dict[str, Expression]:
    found = fields.read("path_params", values(names), {})
    if set(found) != set(target.names) and target.url is None:
        different = ", ".join(sorted(set(found) ^ set(target.names)))
        fields.place.fail("path_param_mismatch", f"places and path_params differ: {different}", "/path_params")
    return found


def _refuse_engine_headers(place: Place | None) -> None:
    if place is None or not isinstance(place.value, dict):
        return
    for name, child in place.members().items():
        if is_engine_header(name):
            child.fail("reserved_header", f"'{name}' is set by the engine")
        elif isinstance(child.value, str) and ("\n" in child.value or "\r" in child.value):
            child.fail("reserved_header", "a header must not contain a line break")


def literal_url(target: Target) -> str | None:
    """The URL of a literal absolute target with its places filled by something harmless, to check its host at load."""
    if target.relative or target.url is not None or not target.pieces:
        return None
    return "x".join(target.pieces)
