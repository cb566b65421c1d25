"""Supervised actors under threads that race: `python -m tests.stress --seconds 60`.

Eight producers ask, tell, crash, stop and restart actors at random while Python changes threads as often as it can.
Every ask must have an answer, no actor may run on two threads, no record may have two incarnations, no `Down` may be
lost, and in the end nothing may be left. Prints what was done as JSON; the exit code is 1 when anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import threading
import time

import structlog

from supervisors.testing import assert_no_leaks, settle
from tests.stress.actors import Findings
from tests.stress.producers import PRODUCERS, Producer
from tests.stress.tree import start_tree

# Anything else that is logged as an error is one of this package.
EXPECTED = {"child_abandoned", "child_crashed", "cleanup_error", "shutdown_error"}
PATIENCE = 30.0  # seconds until what was told to end has


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    random.seed(seed)
    findings = Findings()
    listen(findings)
    sys.setswitchinterval(1e-6)
    run(options.seconds, seed, findings)
    print(
        json.dumps(
            {
                "seed": seed,
                "seconds": options.seconds,
                "late": round(findings.lateness, 3),
                **dict(sorted(findings.done.items())),
                "wrong": findings.wrong[:20],
            }
        )
    )
    return 1 if findings.wrong else 0


def run(seconds: float, seed: int, findings: Findings) -> None:
    """Start a tree, let the producers loose on it, stop it, look at what is left."""
    tree = start_tree()
    ended = threading.Event()
    watch = threading.Thread(target=findings.watch_the_machine, args=(ended,))
    producers = [Producer(number, seed, tree, findings) for number in range(PRODUCERS)]
    threads = [
        threading.Thread(target=producer.run, args=(time.monotonic() + seconds,)) for producer in producers
    ]
    for thread in [watch, *threads]:
        thread.start()
    for thread in threads:
        thread.join(seconds + 3 * PATIENCE)
        if thread.is_alive():
            findings.say(f"{thread.name} hangs")
    for number, supervisor in enumerate(tree.supervisors()):
        if not supervisor.is_alive():
            findings.say(f"supervisor {number} has ended")
    settle(tree.root, PATIENCE)
    if left := tree.dynamic.count_children().zombies:
        findings.say(f"{left} zombies whose threads had ended")
    if not tree.root.stop(timeout=PATIENCE):
        findings.say("the root had ended by itself")
    for producer in producers:
        producer.expect_downs(PATIENCE)
    ended.set()
    watch.join()
    try:
        assert_no_leaks(PATIENCE)
    except AssertionError as error:
        findings.say(str(error)[:2000])
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        findings.say(f"threads left: {others}")


def listen(findings: Findings) -> None:
    """Count the errors that are expected, and report the others."""

    def hear(_logger: object, method: str, event: dict) -> dict:
        if method in {"error", "exception"} and event["event"] not in EXPECTED:
            findings.say(f"logged: {event}"[:1000])
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.processors.format_exc_info, hear],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    logging.getLogger("pykka").setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
