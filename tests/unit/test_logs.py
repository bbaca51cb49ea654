"""Log lines: one JSON object each, with ids and without secrets; and what happens when they cannot be written."""

import asyncio
import base64
import json
import logging
import subprocess
import sys
import textwrap
from contextvars import Context
from pathlib import Path

import pytest

from taske_ray import logs
from taske_ray.errors import Invalid, NotFound
from taske_ray.security.tokens import digest, new_token

CANARY = "canary/with+specials=0123456789abcdefghij"


class Lines(logging.Handler):
    """Keeps each record as the line that would be written, and as what that line says."""

    def __init__(self):
        super().__init__()
        self.setFormatter(logs.JsonLines())
        self.raw = []

    def emit(self, record):
        """Format it at once, in the context in which it was logged."""
        self.raw.append(self.format(record))

    @property
    def read(self):
        """Each line as JSON."""
        return [json.loads(line) for line in self.raw]


@pytest.fixture
def lines():
    """What is logged by us and by others."""
    handler = Lines()
    loggers = [logging.getLogger(name) for name in ("taske_ray", "asyncio", "somebody")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)


_log = logging.getLogger("taske_ray.test")


def test_a_line_says_what_it_is_about(lines):
    """Ids of the block and of the record are members of the line; nested blocks add up."""
    with logs.bound(request_id="r1"), logs.bound(run_id="run_1", task_id="task_1"):
        _log.warning("one %d", 1, extra={"trigger_id": "t1", "other": "not an id"})
    line = lines.read[0]
    assert line.pop("at")
    assert line == {
        "message": "one 1",
        "level": "warning",
        "logger": "taske_ray.test",
        "request_id": "r1",
        "run_id": "run_1",
        "task_id": "task_1",
        "trigger_id": "t1",
    }
    _log.warning("outside")
    assert "run_id" not in lines.read[1]


@pytest.mark.parametrize(
    "between", ["\n", "\r\n", "\x00", "\x1b[31m", "\x7f", "\x9b31m", "\u2028", "\u202e", "\u200f", "\u0085"]
)
def test_control_characters_are_escaped(lines, between):
    """A value cannot begin another line, move the cursor or turn the text around; nothing of it is lost."""
    _log.warning("said a%sb", between)
    assert len(lines.raw[0].splitlines()) == 1
    assert all(character.isprintable() for character in lines.raw[0])
    assert lines.read[0]["message"] == f"said a{between}b"


def test_hook_tokens_are_named_by_their_hash(lines):
    """The path of a hook is logged with eight digits of the token's SHA-256, whoever logs it."""
    token = new_token()
    _log.warning("POST /hooks/%s failed", token)
    logging.getLogger("somebody").warning("http://x/hooks/%s?a=1", token)
    named = f"#{digest(token).hex()[:8]}"
    assert [line["message"] for line in lines.read] == [f"POST /hooks/{named} failed", f"http://x/hooks/{named}?a=1"]


async def test_secrets_of_a_task_are_hidden(lines):
    """By value in every spelling, while the task runs that loaded them; also in lines of others meanwhile."""
    spelled = [CANARY, base64.b64encode(b"x" + CANARY.encode()).decode(), CANARY.encode().hex()]

    async def call():
        logs.hide([CANARY])
        for each in spelled:
            _log.warning("got %s", each)
        inside.set()
        await done.wait()

    inside, done = asyncio.Event(), asyncio.Event()

    async def elsewhere():
        logging.getLogger("somebody").warning("elsewhere %s", CANARY)

    task = asyncio.create_task(call())
    await inside.wait()
    await asyncio.create_task(elsewhere(), context=Context())  # a task that has loaded nothing itself
    done.set()
    await task
    assert len(lines.raw) == 4
    for line in lines.raw:
        assert "••••" in line
        assert CANARY[8:30] not in line
        assert CANARY[8:30].encode().hex() not in line
    _log.warning("looks like a secret: Bearer abcdef1234567890")
    assert lines.read[-1]["message"] == "looks like a secret: Bearer ••••"


def _fail(kind, text):
    secret_local = CANARY
    try:
        raise kind(text)  # noqa: TRY301 - the frame with the variable is the point
    except Exception as error:
        raise RuntimeError("could not go on") from error
    finally:
        del secret_local


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (ValueError, "ValueError"),
        (KeyError, "KeyError"),
        (json.JSONDecodeError, None),
        (NotFound, "taske_ray.errors.NotFound: text of "),
        (Invalid, "taske_ray.errors.Invalid: text of "),
        (OSError, "OSError: text of "),
    ],
)
def test_exceptions_are_told_without_values(lines, kind, told):
    """Kinds, causes and places; no local variable, no source line, no text that quotes what was wrong."""
    try:
        if told is None:
            json.loads('{"password": ' + CANARY)
        _fail(kind, f"text of it\nDETAIL: Failing row contains ({CANARY})")
    except (RuntimeError, ValueError):
        _log.exception("it failed")
    line = lines.read[0]
    assert CANARY not in lines.raw[0]
    assert "secret_local" not in lines.raw[0]
    assert "test_logs.py:" in line["error"]
    assert (told or "json.decoder.JSONDecodeError") in line["error"]
    assert "DETAIL" not in line["error"]


def test_every_part_of_a_group_and_a_chain_ends(lines):
    """A group is told by its first part; a chain without end is cut."""
    error = ExceptionGroup("several", [ValueError(CANARY), OSError("x")])
    try:
        raise error
    except ExceptionGroup as caught:
        caught.__context__ = caught.exceptions[0]
        caught.exceptions[0].__context__ = caught
        _log.exception("it failed")
    assert "ExceptionGroup" in lines.read[0]["error"]
    assert lines.read[0]["error"].count("after") == 4
    assert CANARY not in lines.raw[0]


async def test_a_forgotten_exception_is_told_without_its_text(lines):
    """Asyncio shows the whole task with its exception; only its first line is kept."""

    async def fail():
        raise ValueError(CANARY)

    task = asyncio.create_task(fail(), name=CANARY)
    await asyncio.wait([task])
    del task
    assert "never retrieved" in lines.raw[0]
    assert CANARY not in lines.raw[0]


def test_secrets_go_before_a_line_is_cut(lines):
    """A secret across the cut is gone, not halved."""
    _log.warning("x" * 7_980 + " Bearer abcdefghijklmnop1234567890")
    message = lines.read[0]["message"]
    assert len(message) < 8_010
    assert "abcdef" not in message


def test_values_that_cannot_be_written(lines):
    """A message that does not fit its arguments is logged without them; what has no text is no reason to fail."""

    class Odd:
        def __str__(self):
            raise RuntimeError(CANARY)

    lines.emit(logging.LogRecord("taske_ray.x", logging.WARNING, "x.py", 1, "odd %s", (Odd(),), None))
    _log.warning("half of a character: %s", "\ud800")
    assert lines.read[0]["message"] == "odd %s"
    assert lines.read[1]["message"] == "half of a character: \\ud800"


def _run(code, **more):
    begin = "import logging\nfrom taske_ray import logs\nlogs.configure()\nlog = logging.getLogger('taske_ray.x')\n"
    return subprocess.run([sys.executable, "-c", begin + textwrap.dedent(code)], check=False, timeout=60, **more)


def test_a_full_disk_stops_nothing():
    """Where no line can be written, the work goes on to its end."""
    work = """
        for number in range(1000):
            log.warning("line %d %s", number, "x" * 1000)
        try:
            raise OSError("no")
        except OSError:
            log.exception("failed")
        print("done")
    """
    with Path("/dev/full").open("w") as full:
        done = _run(work, stdout=subprocess.PIPE, stderr=full, text=True)
    assert done.stdout == "done\n"
    assert done.returncode == 0


def test_what_nobody_caught_is_a_line_too():
    """In the main thread and in others: JSON, without the text that quotes a value."""
    code = f"""
        import threading
        def fail(): int({CANARY!r})
        thread = threading.Thread(target=fail); thread.start(); thread.join()
        fail()
    """
    done = _run(code, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in said] == ["an exception ended a thread", "an exception ended this process"]
    assert all(line["error"].startswith("ValueError\n") for line in said)
    assert CANARY not in done.stderr
