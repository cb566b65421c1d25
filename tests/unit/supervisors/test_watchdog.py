from __future__ import annotations

from dataclasses import dataclass

from supervisors.runtime.watchdog import PATIENCE, judge


@dataclass
class Worker:
    runs: int = 1
    cpu_clock: int | None = 7
    seen: tuple[int, float] = (1, 0.0)
    still: int = 0
    alone: int = 0


def test_a_worker_that_twice_uses_no_cpu_in_an_idle_process_blocks() -> None:
    worker = Worker()

    assert [judge(worker, 0.0, process_idle=True) for _ in range(2)] == [False, True]


def test_two_idle_looks_apart_may_be_chance() -> None:
    worker = Worker()

    assert not any(judge(worker, 0.0, process_idle=idle) for idle in (True, False, True))


def test_a_worker_that_began_another_slice_does_not_block() -> None:
    worker = Worker()
    judge(worker, 0.0, process_idle=True)
    worker.runs = 2

    assert not judge(worker, 0.0, process_idle=True)


def test_a_worker_that_computes_does_not_block() -> None:
    worker = Worker()

    assert not any(judge(worker, 0.01 * look, process_idle=True) for look in range(1, 50))


def test_a_worker_that_may_only_wait_for_the_interpreter_gets_the_benefit_of_the_doubt() -> None:
    assert not judge(Worker(), 0.0, process_idle=False)


def test_a_worker_still_for_long_blocks_even_if_others_compute() -> None:
    worker = Worker()
    verdicts = [judge(worker, 0.0, process_idle=False) for _ in range(PATIENCE)]

    assert verdicts == [False] * (PATIENCE - 1) + [True]


def test_one_slice_of_cpu_restarts_the_patience() -> None:
    worker = Worker()
    for _ in range(PATIENCE - 1):
        judge(worker, 0.0, process_idle=False)
    judge(worker, 0.004, process_idle=False)

    assert not judge(worker, 0.004, process_idle=False)


def test_without_a_clock_per_thread_a_busy_process_proves_nothing() -> None:
    worker = Worker(cpu_clock=None)

    assert not any(judge(worker, 0.0, process_idle=False) for _ in range(3 * PATIENCE))
    judge(worker, 0.0, process_idle=True)
    assert judge(worker, 0.0, process_idle=True)
