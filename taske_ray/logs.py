"""JSON lines with the run, task and request they belong to. No bodies, no secrets, no local variables.

What goes wrong with a line never stops the work that it is about: a full disk, a closed pipe, a value without a text.
"""

import contextlib
import hashlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from weakref import WeakSet

import orjson

from taske_ray.core.redaction import Redactor
from taske_ray.errors import TaskeError

_ours = ("taske_ray", "actors", "deployments")
_ids = ("request_id", "run_id", "task_id", "trigger_id", "call_id", "connection_id", "user_id")
_longest = 8_000
_most_causes = 5
_most_hidden = 20
_hook = re.compile(r"(/hooks/)([A-Za-z0-9_-]{22,100})")
# What JSON leaves as it is, but a terminal or a viewer takes for a command: DEL, C1, line separators, bidi controls.
_control = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# Their texts quote the value that was wrong, which may be a parameter or a secret.
_quoting = (ValueError, LookupError, AssertionError)

_bound: ContextVar[dict[str, str]] = ContextVar("taske_log_context", default={})  # noqa: B039 - never mutated
_hidden: ContextVar[Redactor | None] = ContextVar("taske_log_secrets", default=None)
_loaded: WeakSet[Redactor] = WeakSet()
_nothing = Redactor()


@contextlib.contextmanager
def bound(**ids: str) -> Iterator[None]:
    """Add ids (`run_id=…`, `request_id=…`) to every line logged inside the block."""
    token = _bound.set({**_bound.get(), **ids})
    try:
        yield
    finally:
        _bound.reset(token)


def hide(secrets: Iterable[Any]) -> None:
    """From here to the end of this task no line shows one of these secrets, nor does any other line meanwhile.

    What was hidden shortly before in the same task stays so.
    """
    before = _hidden.get()
    redactor = Redactor([*(before.secrets[-_most_hidden:] if before is not None else ()), *secrets])
    _loaded.add(redactor)
    _hidden.set(redactor)


class JsonLines(logging.Formatter):
    """One JSON object per record; line breaks and control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; secrets go before anything is cut."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(_message(record)),
            **_bound.get(),
            **{name: str(getattr(record, name)) for name in _ids if hasattr(record, name)},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _clean(told(record.exc_info[1]))
        return _control.sub(lambda found: f"\\u{ord(found[0]):04x}", orjson.dumps(line, default=str).decode())


def told(error: BaseException) -> str:
    """An exception for a log: kinds, texts that quote no values, and places in the code; no line of it, no variable."""
    parts: list[str] = []
    following: BaseException | None = error
    while following is not None and len(parts) < _most_causes:
        frames = traceback.extract_tb(following.__traceback__)
        places = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        parts.append("\n".join([_headline(following), *places]))
        inner = following.exceptions[0] if isinstance(following, BaseExceptionGroup) else None
        context = None if following.__suppress_context__ else following.__context__
        following = inner or following.__cause__ or context
    return "\nafter ".join(parts)


def configure(level: str = "INFO") -> None:
    """Send our own log lines to standard error as JSON; other libraries' only from WARNING on."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[output], force=True)
    logging.raiseExceptions = False  # a line that cannot be written is lost, and nothing else
    for name in _ours:
        logging.getLogger(name).setLevel(level)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - a value whose text cannot be had
        message = str(record.msg)
    # Others append what they were doing: asyncio the whole task with its exception, a driver the row in question.
    return message if record.name.partition(".")[0] in _ours else message.partition("\n")[0]


def _headline(error: BaseException) -> str:
    """Its kind and the first line of its text; a driver's further lines quote rows, some kinds quote values at once."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, _quoting) and not isinstance(error, TaskeError):
        return name
    text = error.message if isinstance(error, TaskeError) else str(error)
    return f"{name}: {text.partition(chr(10))[0]}" if text else name


def _clean(text: str) -> str:
    """The text without secrets: those of this task, or, from outside of any, those of all; then cut."""
    own = _hidden.get()
    for redactor in [own] if own is not None else [*_loaded, _nothing]:
        text = redactor.text(text)
    text = text.encode("utf-8", "backslashreplace").decode()  # half of a character is no JSON
    text = _hook.sub(lambda found: f"{found[1]}#{_digest(found[2])}", text)
    return text if len(text) <= _longest else f"{text[:_longest]}…"


def _digest(token: str) -> str:
    """How a hook's token is named: enough to compare two lines, too little to call it."""
    return hashlib.sha256(token.encode()).hexdigest()[:8]


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("taske_ray").critical("an exception ended this process", exc_info=(kind, error, trace))


def _uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None:
        logging.getLogger("taske_ray").error("an exception ended a thread", exc_info=what.exc_value)
