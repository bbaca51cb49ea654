"""Where a browser may land after a visit to a provider: a path of our own origin, nothing else (security, 7.6)."""

import re

from taske_ray.errors import Invalid

longest = 2000
# One slash, then no other and no backslash: `//host` and `/\host` lead elsewhere in a browser. ASCII, no white space.
_path = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def landing_place(path: str | None, *, pointer: str = "?to") -> str:
    """The path as it is, `/` for none; raises Invalid for what a browser could read as another origin."""
    if path is None:
        return "/"
    if len(path) > longest or not _path.fullmatch(path):
        raise Invalid.at(pointer, "bad_path", "The place to land must be a path of this service, like /docs")
    return path
