"""`cache_s`: which outputs of first requests are kept, and for which later requests they stand."""

import pytest

from taske_ray.core.outcome import Failed

CONNECTION = {"token": "s3cret-s3cret"}
ROOM = {"id": "room", "cache_s": 60, "request": {"path": "/rooms"}, "output": {"id": "{{ response.body.id }}"}}


class Memory:
    """What is kept, and for how long."""

    def __init__(self):
        self.kept = {}

    def find(self, name):
        """What is kept under a name."""
        return self.kept.get(name, (None,))[0]

    def keep(self, name, output, seconds):
        """Keep it."""
        self.kept[name] = (output, seconds)


@pytest.fixture
def ask(capability, talk):
    """Plays a call whose first request has these fields; gives its requests' paths and its outcome."""
    memory = Memory()

    def play(*answers, name="x", pre=None, **context):
        first = [ROOM | (pre or {})]
        one = capability(pre=first, request={"method": "POST", "path": "/items", "body": "{{ pre.room }}"})
        brought = {"kept": memory, "connection": CONNECTION, **context}
        found = talk(one, *answers, params={"name": name}, **brought)
        return [each.url.rpartition("/v1")[2] for each in found.requests], found

    play.memory = memory
    return play


def test_an_answer_is_kept_and_serves_the_next_call(ask):
    """The second call makes its own request alone, with the same output; what is kept shows neither URL nor secret."""
    paths, first = ask({"id": 7}, {"ok": True})
    assert paths == ["/rooms", "/items"]
    paths, second = ask({"ok": True})
    assert (paths, second.requests[0].body, second.outcome.output) == (["/items"], b'{"id":7}', {"ok": True})
    assert second.outcome.request == first.outcome.request
    [(name, kept)] = ask.memory.kept.items()
    assert kept == ('{"id": 7}', 60)
    assert name.startswith("room:")
    assert "s3cret" not in name


def test_null_is_an_output(ask):
    """An output that is null is kept like any other."""
    nothing = {"output": "{{ response.body.none }}"}
    ask({"id": 7}, {}, pre=nothing)
    assert ask({}, pre=nothing)[0] == ["/items"]


def test_without_cache_s_nothing_is_kept(ask):
    """Zero, the default, asks each time; so does a call that has nowhere to keep anything."""
    for _ in range(2):
        assert ask({"id": 7}, {}, pre={"cache_s": 0})[0] == ["/rooms", "/items"]
    assert ask.memory.kept == {}
    for _ in range(2):
        assert ask({"id": 7}, {}, kept=None)[0] == ["/rooms", "/items"]


@pytest.mark.parametrize("answer", [503, {"id": None}])
def test_a_failure_is_not_kept(ask, answer):
    """By its status or by `success`: the next call asks again."""
    pre = {"success": "response.status == 200 and response.body.id"}
    assert isinstance(ask(answer, pre=pre)[1].outcome, Failed)
    assert ask.memory.kept == {}
    assert ask({"id": 7}, {}, pre=pre)[0] == ["/rooms", "/items"]


def test_an_answer_that_repeats_the_credential_is_not_kept(ask):
    """A credential is in plain text for the length of a call, not for a day."""
    ask({"id": "Bearer s3cret-s3cret"}, {})
    assert ask.memory.kept == {}


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/rooms", "query": {"q": "{{ params.name }}"}},
        {"path": "/rooms", "headers": {"x-name": "{{ params.name }}"}},
        {"method": "POST", "path": "/rooms", "body": {"q": "{{ params.name }}"}},
        {"method": "{% if params.name == 'x' %}GET{% else %}POST{% endif %}", "path": "/rooms"},
    ],
)
def test_another_request_is_asked_for_itself(ask, request_):
    """URL, header, body and method tell requests apart."""
    assert len(ask({"id": 7}, {}, pre={"request": request_})[0]) == 2
    assert len(ask({"id": 8}, {}, name="y", pre={"request": request_})[0]) == 2
    assert ask({}, pre={"request": request_})[1].requests[0].body == b'{"id":7}'


@pytest.mark.parametrize(
    "reader",
    [
        {"output": {"id": "{{ response.body[params.name] }}"}},
        {"success": "response.body.x and params.name == 'x'"},
        {"output": {"id": "{{ now }}"}},
        {"output": {"id": "{{ run.id }}"}},
    ],
)
def test_an_output_belongs_to_all_that_it_was_made_from(ask, reader):
    """The same request read with other parameters, at another moment or in another run is another output."""
    one = {"name": "x", "now": "2026-01-10T00:00:00Z", "run_id": "r1"}
    two = {"name": "y", "now": "2026-01-11T00:00:00Z", "run_id": "r2"}
    answer = {"x": 1, "y": 2}
    paths, first = ask(answer, {}, pre=reader, **one)
    assert paths == ["/rooms", "/items"]
    paths, again = ask({}, pre=reader, **one)
    assert (paths, again.requests[0].body) == (["/items"], first.requests[1].body)
    assert ask(answer, pre=reader, **two)[0][0] == "/rooms"


def test_a_later_first_request_follows_the_earlier_one(capability, talk):
    """An output that reads the output of the request before it changes with that."""
    memory = Memory()
    second = {"id": "b", "cache_s": 60, "request": {"path": "/b"}, "output": {"y": "{{ pre.a.x }}"}}
    one = capability(pre=[{"id": "a", "request": {"path": "/a"}}, second], request={"path": "/items"})
    for x, count in ((1, 3), (1, 2), (2, 3)):
        answers = [{"x": x}, *[{} for _ in range(count - 1)]]
        assert len(talk(one, *answers, params={"name": "x"}, kept=memory).requests) == count
