"""Agents as workers: a queue of jobs, a few agents that take one after the other, and a progress bar.

Run it: python examples/job_queue.py
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass

import structlog

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model

WORKERS = 4
ATTEMPTS = 3  # for a job whose run did not end well


@dataclass
class Job:
    """One text to be summarised."""

    number: int
    text: str
    attempts: int = 0
    summary: str | None = None


class Progress:
    """A bar that moves on a terminal, and a line for each tenth elsewhere."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._failed = total, 0, 0

    def advance(self, *, failed: bool = False) -> None:
        self._done += 1
        self._failed += failed
        share = self._done / self._total
        text = f"[{'#' * round(share * 30):30}] {self._done}/{self._total}, {self._failed} failed"
        if sys.stdout.isatty():
            print(f"\r{text}", end="\n" if share == 1 else "", flush=True)
        elif self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            print(text, flush=True)


async def work(agent: alloy.AgentRef, jobs: asyncio.Queue[Job], progress: Progress) -> None:
    """Take jobs as long as there are any. One job at a time for each agent: the queue is what waits, not the agents."""
    while True:
        job = await jobs.get()
        job.attempts += 1
        result = await agent.achat(f"Summarise: {job.text}")
        if result.ok:
            job.summary = result.text
            progress.advance()
        elif job.attempts < ATTEMPTS:
            await jobs.put(job)  # the run ended with an error, or its agent crashed: both are values here
        else:
            progress.advance(failed=True)
        await agent.areset(when_idle=True)  # each job starts with an empty conversation
        jobs.task_done()


async def summarise(url: str, texts: list[str]) -> list[Job]:
    # Of the requests to this model the first three fail, too often for the retries of one run.
    shaky = scripted_model("scripted-fast", delay=0.01, status=503, times=3)
    provider = alloy.OpenAICompat(model=shaky, api_url=url)
    jobs: asyncio.Queue[Job] = asyncio.Queue()
    all_jobs = [Job(number, text) for number, text in enumerate(texts)]
    for job in all_jobs:
        jobs.put_nowait(job)
    progress = Progress(len(all_jobs))
    async with alloy.AgentSystem() as system, asyncio.TaskGroup() as group:
        agents = [
            await system.aspawn(f"worker-{number}", provider=provider, max_retries=0)
            for number in range(WORKERS)
        ]
        workers = [group.create_task(work(agent, jobs, progress)) for agent in agents]
        await agents[0].acrash(
            "a drill"
        )  # whatever it is doing: its supervisor brings it back, and the job is tried again
        await jobs.join()
        for worker in workers:
            worker.cancel()
    return all_jobs


def main() -> None:
    # Crashes are logged with their cause; this one is on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    texts = [f"Report {number}: all is well." for number in range(40)]
    with LocalServer() as server:
        done = asyncio.run(summarise(server.url, texts))
    print(f"{sum(job.summary is not None for job in done)} summaries")
    print(f"tried again: {sum(job.attempts > 1 for job in done)} jobs; the last one: {done[-1].summary}")
    alloy.shutdown()


if __name__ == "__main__":
    main()
