"""Health on the wire: yes or no only."""

from typing import Literal

from taske_ray.schemas.wire import Output


class Status(Output):
    """Whether it lives, or can work."""

    status: Literal["ok", "ready", "not ready"]
