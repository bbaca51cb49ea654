"""What lists of the audit trail may be asked for, the same for a user and for an administrator."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime

from taske_ray.schemas.audit import Result, action_pattern
from taske_ray.services.acts import ActFilter


async def _only(
    action: Annotated[
        str | None,
        Query(max_length=100, pattern=action_pattern, description="`task.delete`, or `task` for all that begin so"),
    ] = None,
    result: Annotated[Result | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
) -> ActFilter:
    return ActFilter(action, result, since, until)


Only = Annotated[ActFilter, Depends(_only)]
