"""How measurements become lines and a row; what they are is asserted nowhere."""

from pathlib import Path

import pytest

from benchmarks.comparisons import Comparison, lay_out
from benchmarks.measure import Round, SideFailed
from benchmarks.report import BEGIN, END, Bar, Report, Row, table, write_into

SIDES = {"floor": ("floor", "w1"), "ours": ("subject", "w1")}
BAR = Bar(2.0, 3.0, "x")


def rounds(*milliseconds: float, wall: float = 1.0, late: float | None = None) -> list[Round]:
    return [Round(10, each / 100, wall, late) for each in milliseconds]


def test_a_bar_tells_the_goal_from_what_must_hold_today() -> None:
    assert [BAR.held(value) for value in (2.0, 2.5, 3.1)] == ["within", "within the bar of now", "OVER"]
    assert BAR.verdict(1.0) == "bar 2x (now 3x): within"
    assert Bar(2.0, 2.0).verdict(3.0) == "bar 2: OVER"


def test_ratios_are_taken_round_by_round_so_that_a_slow_minute_hits_both() -> None:
    measured = {"floor": rounds(1.0, 10.0, 2.0), "ours": rounds(2.0, 20.0, 5.0)}
    report = lay_out(Comparison("T", SIDES, BAR), measured)
    assert "2.00x" in report.text
    assert "bar 2x (now 3x): within" in report.text
    assert report.row == Row("T; CPU a run", "2.00 ms", "5.00 ms, 2.0x", "2x")


def test_a_floor_that_is_ours_is_named_in_the_row() -> None:
    sides = {"MemoryStore": ("store", "a"), "SqliteStore": ("store", "b")}
    report = lay_out(Comparison("T", sides, BAR), {"MemoryStore": rounds(1.0), "SqliteStore": rounds(2.0)})
    assert report.row == Row("T; CPU a run", "1.00 ms (MemoryStore)", "2.00 ms, 2.0x", "2x")


def test_what_a_run_costs_more_is_compared_with_the_side_it_is_told() -> None:
    sides = dict.fromkeys(("none", "many", "our none", "our many"), ("m", "f"))
    comparison = Comparison(
        "T", sides, Bar(1.5, 3.0, " ms"), by="more", judged="our many", beside={"our many": "our none"}
    )
    measured = {
        "none": rounds(1.0),
        "many": rounds(4.0),
        "our none": rounds(2.0),
        "our many": rounds(4.5),
    }
    report = lay_out(comparison, measured)
    assert "+2.500" in report.text
    assert "within the bar of now" in report.text
    assert report.row == Row("T; CPU a run", "+3.00 ms", "+2.50 ms", "1.5 ms")


def test_the_first_delta_has_a_bar_of_its_own() -> None:
    comparison = Comparison("T", SIDES, Bar(5.0, 5.0, " ms"), by="cost", delay=Bar(3.0, 3.0, " ms"))
    report = lay_out(comparison, {"floor": rounds(1.0, late=0.001), "ours": rounds(2.0, late=0.004)})
    assert "bar 5 ms: within" in report.text
    assert "bar 3 ms: OVER" in report.text
    assert report.row is not None
    assert report.row.ours == "2.00 ms, 2.0x; first after 4.0 ms"


@pytest.mark.parametrize("broken", SIDES)
def test_a_side_that_failed_is_said_and_leaves_no_row(broken: str) -> None:
    measured = {"floor": rounds(1.0), "ours": rounds(2.0), broken: SideFailed("it broke")}
    report = lay_out(Comparison("T", SIDES, BAR), measured)
    assert f"{broken:26} not measured: it broke" in report.text
    assert report.row is None


def test_a_report_survives_the_way_from_its_process() -> None:
    for row in (Row("what", "floor", "ours", "bar"), None):
        report = Report("line\nline", row)
        assert Report.from_json(report.to_json()) == report


def test_the_table_replaces_what_stands_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        write_into(page, table([Row("W1", "1 ms", "2 ms", "3x")], "a machine", "2025-01-02"))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.count("| W1 | 1 ms | 2 ms | 3x |") == 1
    assert "Measured 2025-01-02 on a machine." in text
    assert "old" not in text


@pytest.mark.parametrize("text", ["no marks", f"{BEGIN} {END} {BEGIN} {END}"])
def test_a_page_without_one_pair_of_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "README.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="once, around the table"):
        write_into(page, "table")
    assert page.read_text(encoding="utf-8") == text
