"""Driving a conversation with a service to its end; what happened is named by what may have left (durability, 6.2)."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import Failed, Unknown
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused

Result = TypeVar("Result")
Send = Callable[[HttpRequest], Awaitable[HttpResponse]]


async def drive(conversation: Generator[HttpRequest, HttpResponse, Result], send: Send) -> Result | Failed | Unknown:
    """What a conversation came to whose requests go out by `send` (which raises NotSent, MaybeSent or Refused)."""
    answered = False
    shown: dict[str, Any] | None = None
    try:
        request = next(conversation)
        while True:
            shown = request.shown
            response = await send(request)
            answered = True
            request = conversation.send(response)
    except StopIteration as end:
        result: Result = end.value
        return result
    except NotSent as error:
        return Failed(
            error.error_class,
            error.code,
            error.message,
            retry_after_s=error.retry_after_s,
            sent=answered,
            request=shown,
        )
    except Refused as error:
        return Failed(error.error_class, error.code, error.message, request=shown)
    except MaybeSent as error:
        return Unknown(error.message, error.code, request=shown)
    finally:
        conversation.close()
