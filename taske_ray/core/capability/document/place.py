"""A value in a document together with where it stands, so that every error of a document is reported at its pointer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from taske_ray.errors import FieldError, Invalid

T = TypeVar("T")
D = TypeVar("D")


class Report:
    """The errors found so far."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def raise_if_any(self, message: str) -> None:
        """Raises `Invalid` with everything that was found, in the order of the document's pointers."""
        if self.errors:
            unique = dict.fromkeys(self.errors)
            raise Invalid(message, errors=sorted(unique, key=lambda error: (error.pointer, error.code)))


@dataclass(frozen=True, slots=True)
class Place:
    """One value of the document, its JSON pointer, and the report that takes its errors."""

    value: Any
    pointer: str = ""
    report: Report = field(default_factory=Report)

    def fail(self, code: str, message: str, below: str = "") -> None:
        """Notes an error here, or `below` (a pointer that starts at this place)."""
        self.report.errors.append(FieldError(self.pointer + below, code, message))

    def child(self, key: str | int) -> "Place":
        """The member or element `key`."""
        return Place(self.value[key], f"{self.pointer}/{escape(key)}", self.report)

    def items(self) -> "list[Place]":
        """The elements of an array; `wrong_type` and nothing if it is none."""
        if not isinstance(self.value, list):
            self.fail("wrong_type", "must be an array")
            return []
        return [self.child(index) for index in range(len(self.value))]

    def members(self) -> "dict[str, Place]":
        """The members of an object by name; `wrong_type` and nothing if it is none."""
        if not isinstance(self.value, dict):
            self.fail("wrong_type", "must be an object")
            return {}
        return {key: self.child(key) for key in self.value}


Reader = Callable[[Place], T]


class Fields:
    """The fields of an object in the document: unknown and missing ones are reported when it is made."""

    def __init__(self, place: Place, allowed: str, required: str = "") -> None:
        """`allowed` and `required` are names separated by spaces; names that start with `x-` are free."""
        self.place = place
        self._children = place.members()
        is_object = isinstance(place.value, dict)
        known = {*allowed.split(), *required.split()}
        for name, child in self._children.items():
            if name not in known and not name.startswith("x-"):
                child.fail("unknown_field", f"unknown field '{name}'")
        for name in required.split():
            if is_object and name not in self._children:
                place.fail("missing", f"'{name}' is required", f"/{escape(name)}")

    def __contains__(self, name: str) -> bool:
        return name in self._children

    def place_of(self, name: str) -> Place | None:
        """Where the field stands, None if it is absent."""
        return self._children.get(name)

    def read(self, name: str, reader: Reader[T], default: D) -> T | D:
        """What `reader` makes of the field; `default` if it is absent."""
        child = self._children.get(name)
        return default if child is None else reader(child)

    def read_optional(self, name: str, reader: Reader[T]) -> T | None:
        """What `reader` makes of the field; None if it is absent."""
        child = self._children.get(name)
        return None if child is None else reader(child)


def escape(key: str | int) -> str:
    """One reference token of a JSON pointer (RFC 6901)."""
    return str(key).replace("~", "~0").replace("/", "~1")


def pointer_of(path: Sequence[str | int]) -> str:
    """The JSON pointer of a path."""
    return "".join(f"/{escape(key)}" for key in path)
