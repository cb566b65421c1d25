"""The list of cases and the names of tests agree."""

from pathlib import Path
from types import SimpleNamespace

from tests.conformance.summary import ID, Summary, read_cases

TESTS = Path(__file__).parents[1]


def test_every_id_in_the_name_of_a_test_is_that_of_a_case() -> None:
    cases = read_cases()
    names = [
        line.split("(")[0].strip()
        for path in TESTS.rglob("test_*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("def test_S_", "async def test_S_"))
    ]

    assert len(cases) == 218
    assert [name for name in names if not set(ID.findall(name)) <= cases.keys()] == []
    assert all(ID.findall(name) for name in names)
    assert set().union(*map(ID.findall, names)) == cases.keys(), "a case without a test"


def outcome(nodeid, *, when="call", passed=True):
    return SimpleNamespace(nodeid=nodeid, when=when, passed=passed, failed=not passed)


def test_a_case_passes_when_all_its_tests_do_and_counts_on_each_kind_of_actor() -> None:
    summary = Summary({"S_001": "one", "S_002": "two", "S_003": "three"})
    summary.ids = {"a[pooled]": frozenset({"S_001", "S_002"}), "b": frozenset({"S_002"})}
    summary.runtimes = {"a[pooled]": "pooled"}
    summary.pytest_runtest_logreport(outcome("a[pooled]"))
    summary.pytest_runtest_logreport(outcome("b", passed=False))

    assert summary.lines() == [
        "3 cases: 1 pass, 1 fail, 1 have no test",
        "  about actors, on pooled: 2 pass, 0 fail",
        "  fails: S_002 two",
        "  no test: S_003 three",
    ]
    assert not summary.complete()


def test_a_test_that_fails_in_its_fixtures_after_the_call_fails_its_case() -> None:
    summary = Summary({"S_001": "one"})
    summary.ids = {"a": frozenset({"S_001"})}
    summary.pytest_runtest_logreport(outcome("a"))
    assert summary.complete()
    summary.pytest_runtest_logreport(outcome("a", when="teardown", passed=False))
    assert summary.lines()[0] == "1 cases: 0 pass, 1 fail, 0 have no test"
    assert not summary.complete()


def test_an_id_nobody_knows_is_named() -> None:
    summary = Summary({})
    summary.ids = {"a": frozenset({"S_999"})}
    assert summary.lines()[1:] == ["  unknown id: S_999 "]
