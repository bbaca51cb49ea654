"""JSON Schema 2020-12 as the format uses it: compiled once, formats checked, nothing fetched, nothing coerced."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import jsonschema_rs

from taske_ray.core.capability.document.place import Place, escape, pointer_of
from taske_ray.errors import FieldError

Schema = Mapping[str, Any]

_codes: Final = {
    "required": "missing",
    "additionalProperties": "unknown_field",
    "unevaluatedProperties": "unknown_field",
    "type": "wrong_type",
    "enum": "bad_enum",
    "const": "bad_enum",
    "format": "bad_format",
    "pattern": "bad_format",
}


class Check:
    """A compiled schema."""

    def __init__(self, schema: Schema) -> None:
        """Raises `jsonschema_rs.ValidationError` for a schema that is none."""
        self._validator = jsonschema_rs.Draft202012Validator(
            dict(schema),
            validate_formats=True,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(),
            mask="the value",
        )

    def accepts(self, value: Any) -> bool:
        """Whether a value is valid."""
        return bool(self._validator.is_valid(value))

    def errors(self, value: Any) -> Iterator[FieldError]:
        """One error for each broken rule, with the pointer of the value that breaks it."""
        for error in self._validator.iter_errors(value):
            yield from describe(error)

    def failures(self, value: Any) -> Iterator[jsonschema_rs.ValidationError]:
        """The same as the library tells them."""
        return iter(self._validator.iter_errors(value))


def describe(error: jsonschema_rs.ValidationError) -> Iterator[FieldError]:
    """The errors of ours for one of the library's; a missing or unknown member is named by its own pointer."""
    pointer = pointer_of(error.instance_path)
    kind, facts = error.kind.name, error.kind.as_dict()
    code = _codes.get(kind, "out_of_range" if kind.startswith(("m", "exclusive", "unique")) else "no_match")
    if kind == "required":
        yield FieldError(f"{pointer}/{escape(facts['property'])}", code, "is required")
    elif code == "unknown_field":
        for name in facts["unexpected"]:
            yield FieldError(f"{pointer}/{escape(name)}", code, f"unknown field '{name}'")
    else:
        yield FieldError(pointer, code, error.message)


def schema(place: Place) -> dict[str, Any]:
    """A reader: a schema that compiles, else `bad_schema` where it does not."""
    if not isinstance(place.value, dict):
        place.fail("wrong_type", "must be a JSON Schema object")
        return {}
    try:
        Check(place.value)
    except jsonschema_rs.ValidationError as error:
        place.fail("bad_schema", error.message.splitlines()[0], pointer_of(error.instance_path))
        return {}
    except (ValueError, TypeError) as error:
        place.fail("bad_schema", str(error).splitlines()[0])
        return {}
    return place.value


def object_schema(place: Place) -> dict[str, Any]:
    """A reader: a schema of an object with declared properties."""
    found = schema(place)
    if found and found.get("type") != "object":
        place.fail("bad_schema", "must be of type object", "/type")
    if not all(isinstance(part, dict) for part in properties_of(found).values()):
        place.fail("bad_schema", "properties must be an object of objects", "/properties")
        return {}
    return found


def properties_of(found: Schema) -> dict[str, Any]:
    """The declared properties of an object schema."""
    properties = found.get("properties", {})
    return properties if isinstance(properties, dict) else {}


Shaped = tuple[Any, list[str]]


def output_shaper(found: Schema | None) -> Callable[[Any], Shaped]:
    """A function that gives an output with its absent declared members as null, and names required ones that miss.

    The pointers that it returns are a warning (`output_mismatch`), never a failure: the request has succeeded. The
    value that it is given stays as it is: it may be a literal of the document.
    """
    parts = {name: output_shaper(part) for name, part in properties_of(found or {}).items() if isinstance(part, dict)}
    required = tuple((found or {}).get("required", ()))
    items = (found or {}).get("items")
    element = output_shaper(items) if isinstance(items, dict) else None

    def shape(value: Any) -> Shaped:
        if isinstance(value, dict) and (parts or required):
            shaped = {name: part(value.get(name)) for name, part in parts.items()}
            missing = [f"/{escape(name)}" for name in required if value.get(name) is None]
            missing += [f"/{escape(name)}{below}" for name, (_, misses) in shaped.items() for below in misses]
            return {**value, **{name: filled for name, (filled, _) in shaped.items()}}, missing
        if isinstance(value, list) and element is not None:
            each = [element(part) for part in value]
            missing = [f"/{index}{below}" for index, (_, misses) in enumerate(each) for below in misses]
            return [filled for filled, _ in each], missing
        return value, []

    return shape
