"""When a request is tried again, and when not: generators driven by hand, no time passes."""

import pytest

from taske_ray.errors import Unavailable
from taske_ray.sdk.delivery import Lost, Patience, Session, deliver
from taske_ray.sdk.requests import Reply, Request, Wait, get, post

PATIENCE = Patience(retries=2, base_s=1.0, jitter=lambda: 1.0)
PAIR = b'{"access_token": "new", "token_type": "bearer", "expires_in": 600, "refresh_token": "r2"}'


def play(request, *answers, session=None):
    """Everything a delivery asks for, given these answers; and its reply or exception."""
    delivery, asked, answers = deliver(request, session or Session("key"), PATIENCE), [], list(answers)
    step = next(delivery)
    while True:
        asked.append(step.seconds if isinstance(step, Wait) else step)
        try:
            step = delivery.send(None if isinstance(step, Wait) else answers.pop(0))
        except (StopIteration, Unavailable) as end:
            return asked, end.value if isinstance(end, StopIteration) else end


def waits(asked):
    return [step for step in asked if isinstance(step, float)]


def test_retry_after_is_obeyed():
    """429 and 503 are tried again after as many seconds as they say."""
    asked, reply = play(get("/x"), Reply(429, {"retry-after": "3"}), Reply(503, {"retry-after": "5"}), Reply(200))
    assert waits(asked) == [3.0, 5.0]
    assert reply.status == 200


def test_back_off_doubles():
    """Without Retry-After the pauses double."""
    asked, _ = play(get("/x"), Reply(503), Reply(503), Reply(503))
    assert waits(asked) == [2.0, 4.0]


def test_patience_ends():
    """After the last retry the answer stands."""
    _, reply = play(get("/x"), *[Reply(503)] * 3)
    assert reply.status == 503


def test_a_long_retry_after_is_the_callers_to_decide():
    """Who asks for an hour is not waited for."""
    asked, reply = play(get("/x"), Reply(429, {"retry-after": "3600"}))
    assert (waits(asked), reply.status) == ([], 429)


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422, 500])
def test_other_answers_stand(status):
    """What the service decided is not asked again."""
    _, reply = play(get("/x"), Reply(status))
    assert reply.status == status


@pytest.mark.parametrize("request_", [get("/x"), post("/x")])
def test_lost_answers_are_asked_for_again_if_that_is_harmless(request_):
    """A GET, and a POST with its key, are repeated even if the first may have arrived, with the same key."""
    asked, reply = play(request_, Lost("cut", sent=True), Reply(200))
    assert reply.status == 200
    assert asked[0].headers == asked[2].headers


def test_a_put_whose_answer_was_lost_is_not_repeated():
    """With If-Match a second PUT would claim a conflict with ourselves."""
    asked, error = play(Request("PUT", "/x"), Lost("cut", sent=True))
    assert isinstance(error, Unavailable)
    assert waits(asked) == []


def test_what_never_left_is_always_tried_again():
    """A refused connection is tried again, and in the end says so."""
    asked, error = play(Request("PUT", "/x"), *[Lost("refused", sent=False)] * 3)
    assert len(waits(asked)) == 2
    assert error.message == "refused"


def test_an_access_token_is_renewed_once():
    """A 401 with a refresh token leads to a new pair and the same request again."""
    session = Session("old")
    session.refresh_token = "r1"
    asked, reply = play(get("/x"), Reply(401), Reply(200, {}, PAIR), Reply(200), session=session)
    assert [step.headers.get("Authorization") for step in asked] == ["Bearer old", None, "Bearer new"]
    assert asked[1].body == {"refresh_token": "r1"}
    assert (session.refresh_token, reply.status) == ("r2", 200)


def test_a_session_that_is_over_stays_over():
    """If the refresh token is refused, the caller gets the 401."""
    session = Session("old")
    session.refresh_token = "r1"
    _, reply = play(get("/x"), Reply(401), Reply(401), session=session)
    assert reply.status == 401


def test_an_api_key_is_not_renewed():
    """Without a refresh token a 401 stands."""
    _, reply = play(get("/x"), Reply(401))
    assert reply.status == 401


def test_anonymous_requests_carry_no_secret():
    """Logging in does not send the old token along."""
    asked, _ = play(Request("POST", "/auth/login", authorized=False), Reply(200))
    assert "Authorization" not in asked[0].headers


def test_jitter_is_part_of_the_pause():
    """Callers that were refused together do not come back together."""
    assert Patience(base_s=1.0, jitter=lambda: 0.5).pause(1, get("/x"), Reply(503)) == 1.0
