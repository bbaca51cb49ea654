"""The oracle must see what a bad engine does: every rule is broken once, by stubs that are wrong 1 time in 500."""

from dataclasses import replace

import pytest

from tests.faults.oracle import STEPS, Acknowledged, Attempt, Receipt, RunRow, Schedule, Story, judge

RUNS = 1000
DONE = Attempt("succeeded", sent=True)
LOST = Attempt("unknown")


def failed(error_class, *, sent=True):
    """A failed attempt."""
    return Attempt("failed", sent, error_class)


def done(key):
    """An attempt that succeeded, under a key."""
    return replace(DONE, key=key)


def story(*, runs=RUNS):
    """An engine that does everything right: three steps for every event, each once."""
    events = [f"e{number}" for number in range(runs)]
    return Story(
        offered=events,
        acknowledged=[Acknowledged(event, f"run_{event}", at) for at, event in enumerate(events)],
        receipts=[
            Receipt(f"run_{event}:action{step}", event, step, at + step)
            for at, event in enumerate(events)
            for step in STEPS
        ],
        runs=[
            RunRow(f"run_{event}", event, "succeeded", {step: (done(f"run_{event}:action{step}"),) for step in STEPS})
            for event in events
        ],
    )


def tried(good, *attempts):
    """The same, but for the first run: its first step has these attempts."""
    first = good.runs[0]
    return replace(good, runs=[replace(first, attempts={**first.attempts, 1: attempts}), *good.runs[1:]])


def delivered_again(good):
    """The same, with one delivery more of the first run's first step, under the same key."""
    return replace(good, receipts=[*good.receipts, replace(good.receipts[0], at=1.5)])


def every_500th(items):
    """The indices at which a stub goes wrong."""
    return range(250, len(items), 500)


def test_a_right_engine_passes():
    """Nothing is held against an engine that does everything once and in order."""
    verdict = judge(story())
    assert verdict.holds, verdict.wrong
    assert (verdict.accepted, verdict.lost, verdict.unexplained, verdict.explained) == (RUNS, 0, 0, 0)


@pytest.mark.parametrize("reason", [LOST, failed("transient"), failed("rate_limited"), failed("auth_expired")], ids=str)
def test_an_explained_repetition_passes(reason):
    """A second delivery under the same key is fine when an earlier attempt is unknown, or a failure that is retried."""
    verdict = judge(delivered_again(tried(story(), reason, DONE)))
    assert verdict.holds, verdict.wrong
    assert verdict.explained == 1


@pytest.mark.parametrize(
    "attempts",
    [
        pytest.param((failed("invalid"), DONE), id="a failure that is not retried"),
        pytest.param((failed("transient", sent=False), DONE), id="one that never left"),
        pytest.param((failed("transient", sent=False), LOST), id="one that never left before an unknown one"),
        pytest.param((failed(None), DONE), id="a failure without a class"),
        pytest.param((DONE, LOST), id="an unknown one after the success"),
        pytest.param((LOST,), id="no attempt of its own"),
    ],
)
def test_what_excuses_no_repetition_is_seen(attempts):
    """A second delivery is not explained by an attempt that ends the step, sent nothing, or came afterwards: O3."""
    verdict = judge(delivered_again(tried(story(), *attempts)))
    assert verdict.unexplained == 1
    assert set(verdict.wrong) == {"O3"}


def test_a_delivery_of_what_was_never_sent_is_seen():
    """A single delivery breaks O3 when our rows say that nothing left."""
    verdict = judge(tried(story(), failed("transient", sent=False)))
    assert set(verdict.wrong) == {"O3"}


def test_a_second_success_is_seen():
    """Two attempts of one step that succeeded, each with its delivery, are against D2."""
    assert "D2" in judge(tried(story(), DONE, DONE)).wrong


def test_losing_one_in_500_is_seen():
    """Runs that are acknowledged and not there are lost, and no run stands for their events."""
    good = story()
    gone = {good.runs[at].event for at in every_500th(good.runs)}
    verdict = judge(
        replace(
            good,
            runs=[run for run in good.runs if run.event not in gone],
            receipts=[receipt for receipt in good.receipts if receipt.event not in gone],
        )
    )
    assert verdict.lost == len(gone)
    assert {"lost", "O5"} <= verdict.wrong.keys()


def test_a_success_without_a_delivery_is_lost():
    """A step that our rows call done and the receiver never saw is lost, whatever the rows say."""
    good = story()
    receipts = [receipt for at, receipt in enumerate(good.receipts) if at not in every_500th(good.receipts)]
    verdict = judge(replace(good, receipts=receipts))
    assert verdict.lost == len(every_500th(good.receipts))


def test_repeating_one_in_500_under_a_new_key_is_seen():
    """A repetition under another key breaks O1 and is not explained."""
    good = story()
    repeated = [
        replace(good.receipts[at], key=f"{good.receipts[at].key}:again", at=good.receipts[at].at + 0.1)
        for at in every_500th(good.receipts)
    ]
    verdict = judge(replace(good, receipts=[*good.receipts, *repeated]))
    assert verdict.unexplained == len(repeated)
    assert {"O1", "O3"} <= verdict.wrong.keys()


@pytest.mark.parametrize("other", [{"body": "other"}, {"path": "/other"}], ids=["body", "path"])
def test_another_content_under_the_same_key_is_seen(other):
    """A repetition that is explained, but brings another body or goes elsewhere, breaks O1."""
    good = tried(story(), LOST, DONE)
    again = replace(good.receipts[0], at=1.5, **other)
    assert set(judge(replace(good, receipts=[*good.receipts, again])).wrong) == {"O1"}


def test_repeating_one_in_500_without_a_reason_is_seen():
    """A repetition under the same key, with no attempt on record that explains it, breaks O3."""
    good = story()
    repeated = [replace(good.receipts[at], at=good.receipts[at].at + 0.1) for at in every_500th(good.receipts)]
    assert judge(replace(good, receipts=[*good.receipts, *repeated])).unexplained == len(repeated)


def test_swapping_an_order_is_seen():
    """One run whose third step arrives before its second breaks O4."""
    good = story()
    second, third = good.receipts[1], good.receipts[2]
    swapped = [replace(second, at=third.at), replace(third, at=second.at)]
    verdict = judge(replace(good, receipts=[good.receipts[0], *swapped, *good.receipts[3:]]))
    assert set(verdict.wrong) == {"O4"}


@pytest.mark.parametrize("status", ["queued", "running", "waiting"])
def test_a_stuck_run_is_seen(status):
    """After quiet a run that neither ended nor waits for a person breaks O6 and counts as lost."""
    good = story()
    verdict = judge(replace(good, runs=[replace(good.runs[0], status=status), *good.runs[1:]]))
    assert {"O6", "lost"} == set(verdict.wrong)


def test_a_parked_run_is_accounted_for():
    """`needs_attention` is neither lost nor finished."""
    good = story()
    first = [receipt for receipt in good.receipts if receipt.event != "e0" or receipt.step == 1]
    verdict = judge(
        replace(good, receipts=first, runs=[replace(good.runs[0], status="needs_attention"), *good.runs[1:]])
    )
    assert verdict.holds, verdict.wrong
    assert verdict.parked == 1


def test_one_event_as_two_runs_is_seen():
    """Two runs of one event break O5, as does an answer that names another run the second time."""
    good = story()
    twice = replace(good, runs=[*good.runs, replace(good.runs[0], run_id="run_other")])
    other = replace(good, acknowledged=[*good.acknowledged, Acknowledged("e0", "run_other", 5.0)])
    assert "O5" in judge(twice).wrong
    assert "O5" in judge(other).wrong


def test_what_nobody_asked_for_is_seen():
    """A request for an event that was never offered breaks O2."""
    good = story()
    assert "O2" in judge(replace(good, receipts=[*good.receipts, Receipt("x", "stranger", 1, 0.5)])).wrong


def test_a_key_that_our_rows_do_not_have_is_seen():
    """A step that arrives under one key and is on record under another breaks O2, as does one with two on record."""
    key = story().receipts[0].key
    assert set(judge(tried(story(), done("run_e0:action9"))).wrong) == {"O2"}
    assert set(judge(tried(story(), replace(LOST, key="run_e0:action9"), done(key))).wrong) == {"O2"}
    assert judge(tried(story(), replace(LOST, key=key), done(key))).holds


def test_an_instant_without_run_and_skip_is_seen():
    """Instants that fell due are runs or counted by skips; one that is neither breaks O7."""
    good = story()
    due = ["e0", "e1", "missed"]
    assert "O7" in judge(replace(good, schedule=Schedule(due, 0))).wrong
    assert judge(replace(good, schedule=Schedule(due, 1))).holds


def test_failing_everything_is_seen():
    """An engine that ends every run as failed breaks O8, though nothing is lost or repeated."""
    good = story()
    failed = [replace(run, status="failed") for run in good.runs]
    assert set(judge(replace(good, runs=failed)).wrong) == {"O8"}
