"""Who is attached is told, in order, at once; who raises is not told again."""

import pytest
import structlog

from alloy_actors import telemetry
from alloy_actors.errors import ConfigError


def collector():
    told = []
    return told, lambda name, measurements, metadata: told.append((name, measurements, metadata))


def test_nobody_attached_wants_nothing():
    assert telemetry.wanted == frozenset()
    telemetry.emit("alloy.run.start", {}, {})


def test_a_handler_is_told_until_its_block_ends():
    told, handler = collector()
    with telemetry.attach(handler) as attachment:
        assert telemetry.wanted == frozenset(telemetry.NAMES)
        assert attachment.attached
        telemetry.emit("alloy.event", {"seq": 1}, {"event": "text_delta"})
    telemetry.emit("alloy.event", {"seq": 2}, {})
    assert told == [("alloy.event", {"seq": 1}, {"event": "text_delta"})]
    assert not attachment.attached
    assert telemetry.wanted == frozenset()


def test_a_handler_chooses_by_name_and_by_pattern():
    told, handler = collector()
    with telemetry.attach(handler, "alloy.tool.*", "alloy.run.stop"):
        assert telemetry.wanted == {"alloy.tool.start", "alloy.tool.stop", "alloy.run.stop"}
        for name in telemetry.NAMES:
            telemetry.emit(name, {}, {})
    assert [name for name, _, _ in told] == ["alloy.run.stop", "alloy.tool.start", "alloy.tool.stop"]


def test_handlers_are_told_in_the_order_in_which_they_came_and_detach_alone():
    order = []
    first = telemetry.attach(lambda *_: order.append("first"), "alloy.event")
    second = telemetry.attach(lambda *_: order.append("second"), "alloy.event")
    telemetry.emit("alloy.event", {}, {})
    first.detach()
    first.detach()
    telemetry.emit("alloy.event", {}, {})
    second.detach()
    assert order == ["first", "second", "second"]


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3)])
def test_a_handler_that_raises_is_logged_once_and_told_nothing_more(error):
    told, handler = collector()

    def broken(*_):
        raise error

    with structlog.testing.capture_logs() as logs:
        bad, good = telemetry.attach(broken), telemetry.attach(handler)
        telemetry.emit("alloy.run.start", {}, {})
        telemetry.emit("alloy.run.start", {}, {})
    good.detach()
    assert len(told) == 2
    assert not bad.attached
    assert [line["event"] for line in logs] == ["telemetry_handler_failed"]
    assert logs[0]["telemetry"] == "alloy.run.start"
    assert "broken" in logs[0]["handler"]


async def _async_handler(*_):
    pass


class _AsyncHandler:
    async def __call__(self, *_):
        pass


@pytest.mark.parametrize(
    ("handler", "names", "said"),
    [
        (None, (), "handler must be a function"),
        (_async_handler, (), "plain function"),
        (_AsyncHandler(), (), "plain function"),
        (print, ("alloy.runs.*",), r"'alloy.runs.\*' matches none of the names: alloy.run.start"),
        (print, (3,), "3 matches none"),
    ],
)
def test_a_wrong_attach_says_what_is_wrong(handler, names, said):
    with pytest.raises(ConfigError, match=said):
        telemetry.attach(handler, *names)
    assert telemetry.wanted == frozenset()


def test_a_span_tells_its_start_and_one_end_with_the_same_context():
    told, handler = collector()
    with telemetry.attach(handler):
        telemetry.Span("alloy.turn", turn=1).stop(status="running")
        telemetry.Span("alloy.run", model="m").fail(ValueError("no"))
    names, measured, facts = zip(*told, strict=True)
    assert names == ("alloy.turn.start", "alloy.turn.stop", "alloy.run.start", "alloy.run.exception")
    assert set(measured[0]) == {"system_time", "monotonic_time"}
    assert measured[1]["duration_ms"] == measured[1]["duration"] * 1000
    assert facts[0]["span_context"] == facts[1]["span_context"] != facts[2]["span_context"]
    assert facts[1]["status"] == "running"
    assert (facts[3]["kind"], facts[3]["reason"]) == ("ValueError", "no")
    assert "ValueError: no" in facts[3]["stacktrace"]


def test_what_a_handler_changes_nobody_else_is_told():
    told = []

    def change(_name, measurements, metadata):
        measurements.clear()
        metadata.clear()

    with (
        telemetry.attach(change),
        telemetry.attach(lambda name, measurements, metadata: told.append((measurements, metadata))),
    ):
        telemetry.Span("alloy.tool", agent="a").stop()
    (started, first), (ended, last) = told
    assert first == last
    assert last["agent"] == "a"
    assert "system_time" in started
    assert "duration" in ended
