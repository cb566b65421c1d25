"""Functions as supervised tasks: run one, stream many, and let one that hangs cost only itself.

Run it: python examples/supervisors_tasks.py
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import structlog

from supervisors import CircuitBreaker, CircuitOpen, Failed, Ok, TaskExited, TaskSupervisor, sleep

PAGES = ["https://a.example/1", "https://slow.example/2", "https://broken.example/3", "https://a.example/4"]


def fetch(url: str) -> str:
    """Stand in for a call that may take long, or fail."""
    host = urlsplit(url).hostname
    if host == "slow.example":
        sleep(60)  # ends at once when the task is stopped; time.sleep would not
    if host == "broken.example":
        raise ConnectionError("no route to host")
    return f"text of {url}"


def main() -> None:
    # A supervisor logs the cause of every crash; these are on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    with TaskSupervisor.start(name="fetchers", max_children=8) as tasks:
        # One task: it runs on a thread of its own, and its result belongs to whoever submitted it.
        task = tasks.submit(fetch, PAGES[0])
        print(task.result(timeout=5))

        # One task per page, two at a time, results in order; a failure is an element like any other.
        for page in tasks.stream(
            fetch, PAGES, max_concurrency=2, timeout=0.2, on_timeout="stop_task", zip_input=True
        ):
            match page:
                case Ok(value):
                    print(value)
                case Failed(reason, url):
                    print(f"{url} failed: {type(reason).__name__}")

        # A service that is down is not asked again and again.
        breaker = CircuitBreaker(max_failures=2, reset_timeout=30, name="broken.example")
        for _ in range(3):
            try:
                breaker.call(lambda: tasks.submit(fetch, PAGES[2]).result())
            except CircuitOpen as error:
                print(error)
            except TaskExited as error:
                print(f"no page: {error.__cause__}")


if __name__ == "__main__":
    main()
