"""Driving a conversation with a service to its end; what happened is named by what may have left (durability, 6.2)."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import Failed, Outcome, Unknown
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused

Conversation = Generator[HttpRequest, HttpResponse, Any]
Send = Callable[[HttpRequest], Awaitable[HttpResponse]]


async def drive(conversation: Conversation, send: Send) -> Outcome:
    """The outcome of a conversation whose requests go out by `send` (which raises NotSent, MaybeSent or Refused)."""
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
        outcome: Outcome = end.value
        return outcome
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
