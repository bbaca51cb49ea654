"""The one shape of an error answer (RFC 9457, `application/problem+json`)."""

from pydantic import Field

from taske_ray.schemas.wire import Output


class ProblemField(Output):
    """One broken rule of the input: where (RFC 6901), which, and what to do."""

    pointer: str = Field(examples=["/trigger/params/cron"])
    code: str = Field(examples=["bad_cron"])
    message: str


class Problem(Output):
    """Why a request was refused. `code` is the last part of `type`; both are stable."""

    type: str = Field(examples=["/problems/invalid"])
    title: str = Field(examples=["The input breaks a rule."])
    status: int = Field(examples=[422])
    detail: str
    instance: str = Field(examples=["/api/v1/tasks"])
    request_id: str
    code: str = Field(examples=["invalid"])
    errors: list[ProblemField] | None = None
