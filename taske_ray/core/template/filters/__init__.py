"""The filters of format 2.6, by name. Any other name is unknown."""

from taske_ray.core.template.filters import arrays, encode, mime, numbers, paths, patterns, text, times, values
from taske_ray.core.template.filters.guard import Filter

_groups = (text, arrays, paths, numbers, values, encode, patterns, times, mime)
filters: dict[str, Filter] = {entry.name: entry for group in _groups for entry in group.filters}

__all__ = ["Filter", "filters"]
