"""JSON lines with the run, task and request they belong to. No bodies, no secrets, no local variables."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

_bound: ContextVar[dict[str, str]] = ContextVar("taske_log_context", default={})  # noqa: B039 - never mutated


@contextlib.contextmanager
def bound(**ids: str) -> Iterator[None]:
    """Add ids (`run_id=…`, `request_id=…`) to every line logged inside the block."""
    token = _bound.set({**_bound.get(), **ids})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object per record; line breaks and control characters are escaped by JSON itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_bound.get(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(level: str = "INFO") -> None:
    """Send our own log lines to standard error as JSON; other libraries' only from WARNING on."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[output], force=True)
    for name in ("taske_ray", "actors", "deployments"):
        logging.getLogger(name).setLevel(level)
