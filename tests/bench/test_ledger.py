"""What counts as lost, duplicated and out of order."""

from tests.bench.ledger import judge
from tests.bench.receiver import Received


def came(*requests):
    return [Received(at, key, "/", body) for at, (key, body) in enumerate(requests)]


FIRST, SECOND = ("run_a:action1", '{"n":1}'), ("run_a:action2", '{"receipt":0}')


def test_a_whole_run_is_finished():
    """A run whose two requests came in order is finished when the second came."""
    verdict = judge(["run_a"], came(FIRST, SECOND))
    assert verdict.finished == {"run_a": 1}
    assert (verdict.lost, verdict.duplicated, verdict.disordered, verdict.unacknowledged) == ([], [], [], 0)


def test_half_a_run_is_lost():
    """An accepted run without its second request is lost."""
    assert judge(["run_a"], came(FIRST)).lost == ["run_a"]


def test_the_same_key_twice_is_a_duplicate():
    """Each request beyond the first of its key counts, and the run is finished at the first."""
    verdict = judge(["run_a"], came(FIRST, SECOND, SECOND, SECOND))
    assert (verdict.duplicated, verdict.finished) == ([SECOND[0]] * 2, {"run_a": 1})


def test_the_second_must_follow_from_the_first():
    """A second request that came first, or carries another receipt, is out of order."""
    assert judge(["run_a"], came(SECOND, FIRST)).disordered == ["run_a"]
    assert judge(["run_a"], came(FIRST, ("run_a:action2", '{"receipt":7}'))).disordered == ["run_a"]


def test_receipts_count_from_where_the_measurement_began():
    """A ledger read from receipt 5 on is judged by those receipts."""
    assert not judge(["run_a"], came(FIRST, (SECOND[0], '{"receipt":5}')), first_receipt=5).disordered


def test_a_run_nobody_was_told_of_is_only_counted():
    """A run that the receiver saw and no sender was told of is neither lost nor duplicated."""
    verdict = judge([], came(FIRST, SECOND))
    assert (verdict.unacknowledged, verdict.lost, verdict.duplicated) == (1, [], [])
