"""Reading the members of a JSON object that a user wrote, with every error collected at its pointer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from taske_ray.errors import FieldError, Invalid


class Report:
    """The errors found so far, each once, in the order in which they were found."""

    def __init__(self) -> None:
        self._errors: dict[FieldError, None] = {}

    def fail(self, pointer: str, code: str, message: str) -> None:
        """Note an error."""
        self._errors[FieldError(pointer, code, message)] = None

    def under(self, pointer: str, errors: Iterable[FieldError]) -> None:
        """Note errors whose pointers start at `pointer`."""
        for error in errors:
            self.fail(pointer + error.pointer, error.code, error.message)

    def raise_if_any(self, message: str) -> None:
        """Raise Invalid with all of them."""
        if self._errors:
            raise Invalid(message, errors=self._errors)


class Fields:
    """One object. Null counts as not given; unknown and missing members are noted at once, wrong types when read."""

    def __init__(
        self, value: Any, pointer: str, report: Report, *, required: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> None:
        self._pointer = pointer
        self._report = report
        if not isinstance(value, Mapping):
            report.fail(pointer, "wrong_type", "must be an object")
            value = dict.fromkeys(required, _unreadable)
        self._values = {name: member for name, member in value.items() if member is not None}
        for name in self._values:
            if name not in required and name not in optional:
                self.fail(str(name), "unknown_field", f"there is no field '{name}' here")
        for name in required:
            if name not in self._values:
                self.fail(name, "missing", f"'{name}' is required")
        self._values = {name: member for name, member in self._values.items() if member is not _unreadable}

    def pointer(self, name: str) -> str:
        """The pointer of a member."""
        return f"{self._pointer}/{name.replace('~', '~0').replace('/', '~1')}"

    def fail(self, name: str, code: str, message: str) -> None:
        """Note an error at a member."""
        self._report.fail(self.pointer(name), code, message)

    def raw(self, name: str) -> Any:
        """The member as it is; None if it was not given."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """A text."""
        found: str | None = self._typed(name, str, "must be a text")
        return found

    def boolean(self, name: str, *, default: bool) -> bool:
        """True or false."""
        found = self._typed(name, bool, "must be true or false")
        return default if found is None else found

    def integer(self, name: str, least: int, most: int, default: int) -> int:
        """A whole number from `least` to `most`."""
        found = self._values.get(name)
        if found is None:
            return default
        if not isinstance(found, int) or isinstance(found, bool):
            self.fail(name, "wrong_type", "must be a whole number")
        elif not least <= found <= most:
            self.fail(name, "out_of_range", f"must be from {least} to {most}")
        else:
            return found
        return default

    def one_of(self, name: str, words: Sequence[str], default: str | None) -> str | None:
        """One of some words."""
        found = self._values.get(name, default)
        if found is not None and (not isinstance(found, str) or found not in words):
            self.fail(name, "bad_enum", f"must be one of {', '.join(words)}")
            return default
        return found

    def mapping(self, name: str) -> dict[str, Any]:
        """An object with members of its own making; empty if it was not given."""
        found = self._typed(name, dict, "must be an object")
        return found or {}

    def object(self, name: str, *, required: Sequence[str] = (), optional: Sequence[str] = ()) -> "Fields | None":
        """A member that is an object with known members; None if it was not given."""
        if name not in self._values:
            return None
        return Fields(self._values[name], self.pointer(name), self._report, required=required, optional=optional)

    def objects(self, name: str, *, required: Sequence[str] = (), optional: Sequence[str] = ()) -> "list[Fields]":
        """An array of such objects; empty if it was not given."""
        found = self._typed(name, list, "must be an array") or []
        return [
            Fields(value, f"{self.pointer(name)}/{index}", self._report, required=required, optional=optional)
            for index, value in enumerate(found)
        ]

    def _typed(self, name: str, kind: type, message: str) -> Any:
        found = self._values.get(name)
        if found is not None and not isinstance(found, kind):
            self.fail(name, "wrong_type", message)
            return None
        return found


_unreadable = object()
