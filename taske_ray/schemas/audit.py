"""The audit trail on the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from taske_ray.schemas.wire import Output

Result = Literal["ok", "refused", "alarm"]
action_pattern = r"^[a-z][a-z_]*(\.[a-z_]+)*$"


class Act(Output):
    """Something that was done, or tried, and matters for security."""

    id: str
    at: datetime
    user_id: str | None = Field(default=None, description="whose account it is about")
    session_id: str | None = None
    key_id: str | None = None
    address: str | None = Field(default=None, description="where the request came from")
    action: str = Field(examples=["session.begin", "task.delete"])
    object: str | None = Field(default=None, description="the id of what it was done to")
    result: Result
    detail: Any = None
