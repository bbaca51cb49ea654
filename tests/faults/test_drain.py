"""C16: a host dies or freezes in the middle of a drain. Its service is stopped for that, so it has one of its own."""

import pytest

from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.cluster.receiver import Answer
from tests.faults.oracle import STEPS
from tests.faults.scenes import ended
from tests.faults.stand import Stand

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize("how", ["KILL", pytest.param("STOP", marks=pytest.mark.faults)])
def test_a_host_falls_in_the_middle_of_a_drain(receiver, tmp_path, how):
    """The stop takes its time and no more; what was not given back goes on after the next start, which is clean."""
    with temporary(Stub(0, receiver.port), TASKE_CRASH_DIR=str(tmp_path)) as service:
        service.crash_dir = tmp_path
        service.start()
        service.create_account()
        with Stand(service, receiver) as stand:
            gate = receiver.gate()
            hook = stand.hook(answers={2: [Answer(gate=gate)]})
            stand.deliver(hook, "drained")
            stand.until(lambda: stand.count("drained", 2), 30, "the call")
            stand.arm("C16", how)
            service.stop()
            assert ended(stand.died("C16", 0.1))
            gate.open()
            service.start()
            run = stand.ended(stand.acknowledged[0].run_id, 60)
            assert run["status"] == "succeeded", run
            counts = [stand.count("drained", step) for step in STEPS]
            assert counts in ([1, 1, 1], [1, 2, 1])
            verdict = stand.judged()
            assert verdict.holds, verdict.wrong
