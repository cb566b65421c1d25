"""Pytest plugin: run the tests that carry the id of a case, and say how many cases pass, fail or have no test.

`python -m pytest -p tests.conformance.summary` (`make conformance`). A test carries ids in its name:
`test_S_041_S_042_a_child_that_hangs_is_abandoned`. The run fails unless every case passes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CASES = Path(__file__).with_name("cases.txt")
ID = re.compile(r"S_\d{3}[a-z]?(?=_)")


def read_cases() -> dict[str, str]:
    """id -> a few words, in the order of the file."""
    lines = CASES.read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    cases = dict(pairs)
    assert len(cases) == len(pairs), "an id twice"
    return cases


class Summary:
    """Outcomes of tests by the cases they are about."""

    def __init__(self, cases: Mapping[str, str]) -> None:
        self.cases = cases
        self.ids: dict[str, frozenset[str]] = {}  # nodeid -> cases
        self.runtimes: dict[str, str] = {}  # nodeid -> kind of actor it runs on
        self.passed: set[str] = set()  # nodeids
        self.failed: set[str] = set()

    def unknown(self) -> set[str]:
        """Ids in names of tests that no case has."""
        return set().union(*self.ids.values()) - self.cases.keys()

    def of(self, nodeids: Iterable[str]) -> set[str]:
        """Cases that these tests are about."""
        return {case for nodeid in nodeids for case in self.ids.get(nodeid, ())}

    def lines(self) -> list[str]:
        """What to print."""
        failing = self.of(self.failed)
        passing = self.of(self.passed) - failing
        missing = [case for case in self.cases if case not in passing | failing]
        said = [
            f"{len(self.cases)} cases: {len(passing)} pass, {len(failing)} fail, {len(missing)} have no test"
        ]
        for runtime in sorted(set(self.runtimes.values())):
            here = {nodeid for nodeid, kind in self.runtimes.items() if kind == runtime}
            broken = self.of(here & self.failed)
            said.append(
                f"  about actors, on {runtime}: {len(self.of(here & self.passed) - broken)} pass, {len(broken)} fail"
            )
        for word, which in (("fails", failing), ("no test", missing), ("unknown id", self.unknown())):
            said += [f"  {word}: {case} {self.cases.get(case, '')}" for case in sorted(which)]
        return said

    def complete(self) -> bool:
        """Whether every case passes."""
        return self.of(self.passed) == set(self.cases) and not self.failed

    # Hooks of pytest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items) -> None:
        for item in items:
            found = frozenset(ID.findall(item.originalname if hasattr(item, "originalname") else item.name))
            if found:
                self.ids[item.nodeid] = found
                params = getattr(getattr(item, "callspec", None), "params", {})
                if params.get("worker") is not None:
                    self.runtimes[item.nodeid] = str(params["worker"])
        others = [item for item in items if item.nodeid not in self.ids]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.nodeid in self.ids]

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_sessionfinish(self, session, exitstatus) -> None:
        if exitstatus == pytest.ExitCode.OK and not session.config.option.collectonly and not self.complete():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter) -> None:
        terminalreporter.section("conformance")
        for line in self.lines():
            terminalreporter.write_line(line)


def pytest_configure(config) -> None:
    """Register the summary with this run."""
    config.pluginmanager.register(Summary(read_cases()), "conformance-summary")
