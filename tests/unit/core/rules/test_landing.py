"""Where a browser may land after a visit: paths of our own, whatever a browser makes of a spelling."""

import pytest

from taske_ray.core.landing import landing_place, longest
from taske_ray.errors import Invalid


@pytest.mark.parametrize("path", ["/", "/docs", "/tasks/task_1?tab=runs#last", "/a//b", "/%2F%2Fevil.example"])
def test_own_paths_are_kept(path):
    """A path of this service stays as it is."""
    assert landing_place(path) == path


def test_nothing_means_the_root():
    """Who names no place lands at the root."""
    assert landing_place(None) == "/"


@pytest.mark.parametrize(
    "path",
    [
        "", "docs", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/a\\b",
        "https://evil.example", "https:/evil.example", "javascript:alert(1)", "/\t/evil.example", "/a b", "/a\r\nx: y",
        " /docs", "/docs ", "/한글", "/" + "a" * longest, "/\x00",
    ],
)  # fmt: skip
def test_other_origins_are_refused(path):
    """Whatever a browser could read as another origin, or a header as a second line, is refused."""
    with pytest.raises(Invalid):
        landing_place(path)
