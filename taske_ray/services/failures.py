"""Who learns that a run failed or needs attention: the owner's triggers `system.run.failed`, and the owner, by mail.

An end is on record with the run's own transaction. Here it is taken up by whichever host looks first, each listener is
fired under a key of the end, and the end is settled: killed in between, the next host fires nothing twice.
"""

import asyncio
from collections.abc import Collection
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.ids import format_id
from taske_ray.db.fire_values import Fire, Skip, details
from taske_ray.db.fires import FireStore
from taske_ray.db.run_ends import Letter, Listener, RunEnd, RunEnds, SwitchedOff
from taske_ray.limits import Limits, profiles

most_at_once = 100

_letters = {
    ("failed", "en"): """Task "{task}" failed
A run of your task "{task}" failed.

Run: {run}
Why: {why}

See what happened:   taske run get {run}
Run it again:        taske run replay {run} --from failed
""",
    ("failed", "ko"): """작업 "{task}" 실행이 실패했습니다
작업 "{task}"의 실행이 실패했습니다.

실행: {run}
이유: {why}

무슨 일이 있었는지 보기:   taske run get {run}
다시 실행하기:            taske run replay {run} --from failed
""",
    ("failed", "ja"): """タスク「{task}」の実行が失敗しました
タスク「{task}」の実行が失敗しました。

実行: {run}
理由: {why}

経過を見る:       taske run get {run}
もう一度実行する: taske run replay {run} --from failed
""",
    ("needs_attention", "en"): """Task "{task}" needs your decision
A run of your task "{task}" stopped: nobody can know whether its last call arrived.

Run: {run}
Why: {why}

See the request:         taske run get {run} -o json
It arrived, go on:       taske run resolve {run} sent
Send it again:           taske run resolve {run} resend
It did not, give up:     taske run resolve {run} fail
""",
    ("needs_attention", "ko"): """작업 "{task}"에 결정이 필요합니다
작업 "{task}"의 실행이 멈췄습니다. 마지막 요청이 도착했는지 알 수 없습니다.

실행: {run}
이유: {why}

요청 보기:              taske run get {run} -o json
도착했으니 계속하기:     taske run resolve {run} sent
다시 보내기:            taske run resolve {run} resend
도착하지 않았으니 끝내기: taske run resolve {run} fail
""",
    ("needs_attention", "ja"): """タスク「{task}」はあなたの判断が必要です
タスク「{task}」の実行が止まりました。最後の要求が届いたかどうか分かりません。

実行: {run}
理由: {why}

要求を見る:               taske run get {run} -o json
届いたので続ける:         taske run resolve {run} sent
もう一度送る:             taske run resolve {run} resend
届いていないので終了する: taske run resolve {run} fail
""",
    ("switched_off", "en"): """Task "{task}" was switched off
Your task "{task}" has done nothing but fail, so it was switched off.

Why: {why}

See what happened:      taske run list --task {id}
When it is mended:      taske task enable {id}
""",
    ("switched_off", "ko"): """작업 "{task}"이(가) 꺼졌습니다
작업 "{task}"이(가) 계속 실패하여 꺼졌습니다.

이유: {why}

무슨 일이 있었는지 보기:  taske run list --task {id}
고친 뒤 다시 켜기:        taske task enable {id}
""",
    ("switched_off", "ja"): """タスク「{task}」を停止しました
タスク「{task}」は失敗し続けたため、停止しました。

理由: {why}

経過を見る:         taske run list --task {id}
直したら再開する:   taske task enable {id}
""",
}


class Failures:
    """Tells of runs that failed or need attention."""

    def __init__(self, ends: RunEnds, fires: FireStore, limits: Limits = profiles["default"]) -> None:
        self._ends = ends
        self._fires = fires
        self._limits = limits

    async def tell(self) -> int:
        """Tell of all that ended since the last look; how many runs listeners got. Raises Unavailable."""
        fired = 0
        while True:
            ends = await self._ends.take(most=most_at_once)
            if not ends:
                return fired
            told = [self._fire(end, listener) for end in ends for listener in end.listeners]
            fired += sum(await asyncio.gather(*told))
            await self._ends.settle([(end, letter_about(end)) for end in ends])
            await self._switch_off({end.task_id for end in ends if end.status == "failed"})
            if len(ends) < most_at_once:
                return fired

    async def _switch_off(self, task_ids: Collection[UUID]) -> None:
        """Switch off what has done nothing but fail (durability, 12); killed before, the next failure does it."""
        if task_ids:
            await self._ends.switch_off(sorted(task_ids), limits=self._limits, letter=letter_of_the_end)

    async def _fire(self, end: RunEnd, listener: Listener) -> bool:
        key = f"{format_id('run', end.run_id)}:{end.fence}"
        if listener.looped:
            await self._fires.skip(Skip(listener.trigger_id, "loop", sample={"run_id": format_id("run", end.run_id)}))
            return False
        answer = await self._fires.fire(
            Fire(
                trigger_id=listener.trigger_id,
                user_id=end.user_id,
                task_id=listener.task_id,
                task_version=listener.version,
                fire_key=key,
                run_id=new_id(),
                input=output_of(end),
                trigger_version=listener.version,
                overlap=listener.overlap,
                depth=end.depth,
            )
        )
        if answer.status in ("full", "spent"):
            sample = {"fire_key": key, "detail": details[answer.status]}
            await self._fires.skip(Skip(listener.trigger_id, "quota", sample=sample))
        return answer.status == "created"


def output_of(end: RunEnd) -> dict[str, Any]:
    """What such a trigger gives to its run."""
    return {
        "run_id": format_id("run", end.run_id),
        "task_id": format_id("task", end.task_id),
        "task_name": end.task_name or "",
        "status": end.status,
        "error": end.error,
    }


def letter_about(end: RunEnd) -> Letter:
    """The mail to the owner, in their language."""
    error = end.error or {}
    named = {
        "task": " ".join((end.task_name or "").split()),
        "run": format_id("run", end.run_id),
        "why": ": ".join(str(error[part]) for part in ("step", "code", "message") if error.get(part)) or "-",
    }
    return _letter(end.status, end.locale, named)


def letter_of_the_end(off: SwitchedOff) -> Letter:
    """The mail to the owner of a task that was switched off, in their language."""
    task = " ".join(off.task_name.split())
    return _letter("switched_off", off.locale, {"task": task, "id": format_id("task", off.task_id), "why": off.reason})


def _letter(about: str, locale: str | None, named: dict[str, str]) -> Letter:
    subject, _, text = (_letters.get((about, locale or "en")) or _letters[about, "en"]).partition("\n")
    return Letter(new_id(), subject.format(**named), text.format(**named))
