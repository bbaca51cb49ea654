"""Which names a template may read at each place of a document (format, sections 2.4 and 2.7)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Union

from taske_ray.core.capability.document.place import Place

Tree = Union[Mapping[str, "Tree"], None]  # noqa: UP007 - a string cannot be joined by `|`. None: whatever is below is not known before it runs
Path = tuple[str | int | None, ...]

SECRET_ROOTS: frozenset[tuple[str, ...]] = frozenset(
    {("conn", "secret"), ("app", "secret"), ("app", "client_secret"), ("hook", "state"), ("generated",)}
)

response_names: Tree = dict.fromkeys(("status", "headers", "body", "text", "url"))
request_names: Tree = dict.fromkeys(("method", "path", "query", "headers", "body"))
page_names: Tree = dict.fromkeys(("number", "count", "truncated"))
cursor_names: Tree = dict.fromkeys(("from", "value"))
run_names: Tree = dict.fromkeys(("id", "step"))


@dataclass(frozen=True, slots=True)
class Names:
    """The names in scope at one place, as a tree, and whether secrets may be read there."""

    tree: Mapping[str, Tree]
    secrets: bool = False

    def plus(self, **more: Tree) -> "Names":
        """These names and more."""
        return replace(self, tree={**self.tree, **more})

    def public(self) -> "Names":
        """The same names, secrets out of reach."""
        return replace(self, secrets=False)

    def private(self) -> "Names":
        """The same names, secrets within reach."""
        return replace(self, secrets=True)

    def only(self, *roots: str) -> "Names":
        """Just some of these names."""
        return replace(self, tree={root: tree for root, tree in self.tree.items() if root in roots})


def tree_of(names: Iterable[str]) -> dict[str, Tree]:
    """A closed set of names, each open below."""
    return dict.fromkeys(names)


def check_names(paths: Iterable[Path], names: Names, place: Place) -> None:
    """Notes `unknown_name` and `secret_not_allowed` for the paths that a template reads."""
    for path in sorted(paths, key=lambda path: [str(segment) for segment in path]):
        if reads_secret(path) and not names.secrets:
            place.fail("secret_not_allowed", f"'{_written(path)}' is secret and may not be read here")
        else:
            _check_known(path, names, place)


def reads_secret(path: Path) -> bool:
    """Whether a path leads into a secret or to what holds one; a computed segment (None) may be anything."""
    return any(_overlaps(path, root) for root in SECRET_ROOTS)


def _overlaps(path: Path, root: tuple[str, ...]) -> bool:
    return all(segment is None or segment == name for segment, name in zip(path, root, strict=False))


def _check_known(path: Path, names: Names, place: Place) -> None:
    tree: Tree = names.tree
    for depth, segment in enumerate(path):
        if tree is None or segment is None:
            return
        if segment not in tree:
            known = ", ".join(sorted(tree)) or "none"
            place.fail("unknown_name", f"'{_written(path[: depth + 1])}' is not known here (known: {known})")
            return
        tree = tree[str(segment)]


def _written(path: Path) -> str:
    return ".".join(_segments(path))


def _segments(path: Path) -> Iterator[str]:
    return ("…" if segment is None else str(segment) for segment in path)
