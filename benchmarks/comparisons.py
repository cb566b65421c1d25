"""The comparisons of design section 5: the same work by hand and by alloy-actors, round by round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from benchmarks.measure import Round, SideFailed, Spread, interleave
from benchmarks.report import Bar, Report, Row

Measured: TypeAlias = dict[str, list[Round] | SideFailed]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the design's table of numbers.

    sides: label -> (module, function); the first is the floor.
    bar: For the judged side.
    by: What the bar is about: the ratio to the side it stands beside, what it costs more than that, or its own cost.
    judged: Its label; None is the second one.
    beside: label -> the label it is compared with; the floor where nothing else is said.
    unit, scale: Of a cost: a round's CPU seconds a unit, times `scale`, are `unit`s.
    wall: Seconds a round may take.
    delay: For the milliseconds between the server's first delta and the listener.
    """

    title: str
    sides: dict[str, tuple[str, str]]
    bar: Bar
    by: Literal["ratio", "more", "cost"] = "ratio"
    judged: str | None = None
    beside: dict[str, str] = field(default_factory=dict)
    unit: str = "ms"
    each: str = "a run"
    scale: float = 1000.0
    wall: float | None = None
    delay: Bar | None = None


COMPARISONS = {
    "w1": Comparison(
        "W1 one agent at a time: user -> 2 tool calls -> answer, 0 ms server",
        {
            "floor, bare aiohttp": ("floor", "w1"),
            "alloy, async def tools": ("subject", "w1"),
            "alloy, def tools": ("subject", "w1_plain"),
        },
        Bar(3.0, 4.0, "x"),
    ),
    "w1-on": Comparison(
        "W1 with async middleware, compaction and budgets on, none of which has to act",
        {"all off": ("subject", "w1_off"), "all on": ("subject", "w1_on")},
        Bar(1.3, 1.3, "x"),
    ),
    "w2": Comparison(
        "W2 500 agents at once, 2 runs each, 20 ms server",
        {"floor, bare aiohttp": ("floor", "w2"), "alloy, async def tools": ("subject", "w2")},
        Bar(2.5, 3.0, "x"),
        wall=2.5,
    ),
    "w3": Comparison(
        "W3 streaming 2,000 deltas, each written by itself",
        {
            "floor, bare aiohttp": ("floor", "w3"),
            "alloy, stream_chat": ("subject", "w3"),
            "alloy, astream_chat": ("subject", "w3_async"),
        },
        Bar(20.0, 25.0, " µs"),
        by="cost",
        unit="µs",
        each="a delta",
        scale=1e6,
        delay=Bar(3.0, 3.0, " ms"),
    ),
    "w3-burst": Comparison(
        "W3 streaming 2,000 deltas, all written at once",
        {
            "floor, bare aiohttp": ("floor", "w3_burst"),
            "alloy, stream_chat": ("subject", "w3_burst"),
            "alloy, astream_chat": ("subject", "w3_async_burst"),
        },
        Bar(20.0, 25.0, " µs"),
        by="cost",
        unit="µs",
        each="a delta",
        scale=1e6,
        delay=Bar(3.0, 3.0, " ms"),
    ),
    "w7": Comparison(
        "W7 a run of W1 on top of 400 old messages",
        {
            "floor, none": ("floor", "w7_none"),
            "floor, 400 messages": ("floor", "w7"),
            "alloy, none": ("subject", "w7_none"),
            "alloy, 400 messages": ("subject", "w7"),
            "alloy, 400, its first run": ("subject", "w7_first"),
        },
        Bar(1.5, 3.0, " ms"),
        by="more",
        judged="alloy, 400 messages",
        beside={"alloy, 400 messages": "alloy, none", "alloy, 400, its first run": "alloy, none"},
    ),
    "store-w1": Comparison(
        "W1 with the journal on disk: a lone agent waits for every commit itself",
        {"MemoryStore": ("store", "w1_memory"), "SqliteStore": ("store", "w1_sqlite")},
        Bar(2.0, 2.2, "x"),
    ),
    "store-w2": Comparison(
        "W2 with the journal on disk: 500 agents share commits",
        {"MemoryStore": ("store", "w2_memory"), "SqliteStore": ("store", "w2_sqlite")},
        Bar(2.0, 2.0, "x"),
    ),
}


def compare(comparison: Comparison, url: str, rounds: int) -> Report:
    """Measure it, and lay it out."""
    return lay_out(comparison, interleave(comparison.sides, url, rounds))


def lay_out(comparison: Comparison, measured: Measured) -> Report:
    """What was measured, in lines and as a row; a side that failed says why, and leaves the report without a row."""
    heading = f"CPU {comparison.unit} {comparison.each}, user + sys"
    other = "more" if comparison.by == "more" else "ratio"
    lines = [comparison.title, f"  {heading:26}      min   median      max  {other:>6}   wall s"]
    failed = {label: done for label, done in measured.items() if isinstance(done, SideFailed)}
    costs = {label: Costs(comparison, done) for label, done in measured.items() if label not in failed}
    judged = comparison.judged or list(comparison.sides)[1]
    for label in comparison.sides:
        if label in failed:
            lines.append(f"  {label:26} not measured: {failed[label]}")
            continue
        mine, beside = costs[label], costs.get(_beside(comparison, label))
        against = mine.against(beside) if beside is not None and beside is not mine else f"{'-':>7}"
        lines.append(f"  {label:26} {mine.cost} {against} {mine.wall:7.2f}")
        if label == judged and beside is not None:
            lines[-1] += f"   {mine.verdict(beside)}"
    if comparison.delay is not None:
        lines.append("  first delta, ms after the server sent it")
        for label, mine in costs.items():
            verdict = f"{'':17}{comparison.delay.verdict(mine.late.median)}" if label == judged else ""
            lines.append(f"  {label:26} {mine.late}{verdict}")
    return Report("\n".join(lines), None if failed else _row(comparison, costs, judged))


class Costs:
    """The rounds of one side."""

    def __init__(self, comparison: Comparison, rounds: list[Round]) -> None:
        self._comparison = comparison
        self._each = [one.cpu / one.units * comparison.scale for one in rounds]
        self.cost = Spread.of(self._each)
        self.wall = Spread.of([one.wall for one in rounds]).median
        self.late = Spread.of([(one.late or 0.0) * 1000 for one in rounds])

    # Round by round: what slowed the machine down for a while slowed both neighbours down.

    def ratio(self, beside: Costs) -> float:
        """To the other side."""
        return Spread.of([mine / its for mine, its in zip(self._each, beside._each, strict=True)]).median

    def more(self, beside: Costs) -> float:
        """Than the other side."""
        return Spread.of([mine - its for mine, its in zip(self._each, beside._each, strict=True)]).median

    def against(self, beside: Costs) -> str:
        """The column that compares."""
        return (
            f"{self.more(beside):+7.3f}" if self._comparison.by == "more" else f"{self.ratio(beside):6.2f}x"
        )

    def value(self, beside: Costs) -> float:
        """What the bar is about."""
        match self._comparison.by:
            case "ratio":
                return self.ratio(beside)
            case "more":
                return self.more(beside)
            case "cost":
                return self.cost.median

    def verdict(self, beside: Costs) -> str:
        """The bars, and whether they hold."""
        text, wall = self._comparison.bar.verdict(self.value(beside)), self._comparison.wall
        if wall is None:
            return text
        return f"{text}; wall <= {wall:g} s: {'within' if self.wall <= wall else 'OVER'}"


def _row(comparison: Comparison, costs: dict[str, Costs], judged: str) -> Row:
    """For the README: medians."""
    labels, unit, bar = list(comparison.sides), comparison.unit, comparison.bar
    floor, ours = costs[labels[0]], costs[judged]
    value = ours.value(costs[_beside(comparison, judged)])
    if comparison.by == "more":  # the second side is the floor's, with what the title says
        by_hand, mine = f"{costs[labels[1]].more(floor):+.2f} {unit}", f"{value:+.2f} {unit}"
    else:
        name = "" if labels[0].startswith("floor") else f" ({labels[0]})"
        by_hand = f"{floor.cost.median:.2f} {unit}{name}"
        mine = f"{ours.cost.median:.2f} {unit}, {ours.ratio(floor):.1f}x"
    limit = f"{bar.goal:g}{bar.unit}"
    if comparison.wall is not None:
        mine, limit = f"{mine}; {ours.wall:.1f} s", f"{limit}; {comparison.wall:g} s"
    if comparison.delay is not None:
        by_hand, mine = (
            f"{cell}; first after {side.late.median:.1f} ms"
            for cell, side in ((by_hand, floor), (mine, ours))
        )
        limit = f"{limit}; {comparison.delay.goal:g} ms"
    return Row(f"{comparison.title}; CPU {comparison.each}", by_hand, mine, limit)


def _beside(comparison: Comparison, label: str) -> str:
    return comparison.beside.get(label, next(iter(comparison.sides)))
