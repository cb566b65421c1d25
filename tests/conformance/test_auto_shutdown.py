import pytest

from supervisors import ChildSpec, Killed, Normal, Shutdown, Supervisor, kill, monitor
from supervisors.events import ChildExited, ChildStarted
from supervisors.testing import settle

PATIENCE = 10.0
MODES = ["never", "any_significant", "all_significant"]


def end(sup, child_id, how, do):
    """End a child in one of four ways, and wait until the supervisor has dealt with it."""
    ref = sup.which_child(child_id).ref
    down = monitor(ref)
    {
        "terminate_child": lambda: sup.terminate_child(child_id),
        "kill": lambda: kill(ref),
        "crash": lambda: ref.tell(do.crash),
        "normal": lambda: ref.tell(do.finish(Normal())),
    }[how]()
    down.wait(PATIENCE)
    settle(sup, PATIENCE)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["terminate_child", "kill", "crash", "normal"])
def test_S_120_ends_of_temporary_children_that_are_not_significant_change_nothing(
    start, spec, do, mode, how
) -> None:
    sup = start([spec("a", restart="temporary"), spec("b", restart="temporary")], auto_shutdown=mode)
    end(sup, "a", how, do)
    assert [child.id for child in sup.which_children()] == ["b"]
    assert sup.is_alive()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["terminate_child", "kill", "crash", "normal"])
def test_S_121_ends_of_transient_children_that_are_not_significant_change_nothing(
    start, spec, do, mode, how
) -> None:
    sup = start([spec("a", restart="transient"), spec("b", restart="transient")], auto_shutdown=mode)
    end(sup, "a", how, do)
    comes_back = how in {"kill", "crash"}
    assert [child.state for child in sup.which_children()] == [
        "running" if comes_back else "stopped",
        "running",
    ]


def test_S_122_a_crash_of_a_significant_temporary_child_ends_the_supervisor(start, spec, do) -> None:
    children = [spec(name, restart="temporary", significant=True) for name in "abc"]
    sup = start(children, auto_shutdown="any_significant")
    end(sup, "a", "terminate_child", do)
    assert sup.is_alive()
    other = monitor(sup.which_child("c").ref)
    sup.which_child("b").ref.tell(do.crash)
    assert sup.wait(PATIENCE) == Shutdown()
    assert other.wait(PATIENCE).reason == Shutdown()


@pytest.mark.parametrize("how", ["normal", "kill"])
def test_S_123_so_does_its_normal_end_and_a_kill(start, spec, do, how) -> None:
    significant = spec("a", restart="temporary", significant=True)
    sup = start([significant, spec("b")], auto_shutdown="any_significant")
    end(sup, "a", how, do)
    assert sup.wait(PATIENCE) == Shutdown()


def test_S_124_a_significant_transient_child_ends_it_by_a_normal_end_only(start, spec, events, do) -> None:
    sup = start([spec("a", restart="transient", significant=True)], auto_shutdown="any_significant")
    for how in ("crash", "kill"):
        end(sup, "a", how, do)
        assert sup.which_child("a").state == "running"
    sup.which_child("a").ref.tell(do.finish(Normal()))
    assert sup.wait(PATIENCE) == Shutdown()


@pytest.mark.parametrize("restart", ["temporary", "transient"])
def test_S_125_with_all_significant_the_last_one_ends_it(start, spec, do, restart) -> None:
    children = [spec(name, restart=restart, significant=True) for name in "ab"]
    sup = start([*children, spec("c")], auto_shutdown="all_significant")
    end(sup, "a", "normal", do)
    assert sup.is_alive()
    end(sup, "b", "normal", do)
    assert sup.wait(PATIENCE) == Shutdown()


def test_a_child_stopped_by_hand_counts_as_ended_when_the_last_one_ends(start, spec, do) -> None:
    children = [spec(name, restart="transient", significant=True) for name in "ab"]
    sup = start(children, auto_shutdown="all_significant")
    end(sup, "a", "terminate_child", do)
    assert sup.is_alive()
    end(sup, "b", "normal", do)
    assert sup.wait(PATIENCE) == Shutdown()


@pytest.mark.parametrize("significant", [True, False])
def test_S_126_the_end_of_a_significant_sub_supervisor_goes_on_upwards(
    start, spec, events, do, significant
) -> None:
    inner = ChildSpec(
        id="inner",
        start=Supervisor,
        args=([spec("leaf", restart="temporary", significant=True)],),
        kwargs={"auto_shutdown": "any_significant"},
        restart="transient",
        significant=significant,
    )
    sup = start([inner, spec("sibling")], auto_shutdown="any_significant")
    sub = sup.which_child("inner").ref
    sub.which_child("leaf").ref.tell(do.finish(Normal()))
    assert sub.wait(PATIENCE) == Shutdown()
    if significant:
        assert sup.wait(PATIENCE) == Shutdown()
    else:
        assert events.wait(ChildExited, id="inner").reason == Shutdown()
        settle(sup, PATIENCE)
        assert [child.state for child in sup.which_children()] == ["stopped", "running"]


def test_children_are_stopped_in_reverse_order_by_an_automatic_shutdown(start, spec, do, journal) -> None:
    children = [spec(name, journal=journal) for name in "abc"]
    sup = start(
        [*children, spec("s", restart="transient", significant=True)], auto_shutdown="any_significant"
    )
    sup.which_child("s").ref.tell(do.finish(Normal()))
    sup.wait(PATIENCE)
    assert journal[3:] == [("stop", "c"), ("stop", "b"), ("stop", "a")]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_bystanders_of_a_group_restart_do_not_count(start, spec, events, do, strategy) -> None:
    sup = start(
        [
            spec("a"),
            spec("b", restart="transient", significant=True),
            spec("t", restart="temporary", significant=True),
        ],
        auto_shutdown="any_significant",
        strategy=strategy,
    )
    sup.which_child("a").ref.tell(do.crash)
    events.wait(ChildStarted, id="b", generation=1)
    settle(sup, PATIENCE)
    assert [child.id for child in sup.which_children()] == ["a", "b"]


def test_starts_that_come_to_nothing_do_not_count(start, spec) -> None:
    from supervisors import IGNORE, StartFailed

    def fails(_actor):
        raise OSError("no")

    sup = start([], auto_shutdown="any_significant")
    assert (
        sup.start_child(spec("i", restart="transient", significant=True, on_start=lambda _actor: IGNORE))
        is None
    )
    with pytest.raises(StartFailed):
        sup.start_child(spec("f", restart="transient", significant=True, on_start=fails))
    settle(sup, PATIENCE)
    assert sup.is_alive()


def test_a_significant_child_may_end_while_its_supervisor_starts(start, spec, do) -> None:
    def ends(_actor):
        from supervisors import stop_self

        stop_self(Normal())

    sup = start(
        [spec("a", restart="temporary", significant=True, on_start=ends), spec("b")],
        auto_shutdown="any_significant",
    )
    assert sup.wait(PATIENCE) == Shutdown()


def test_a_killed_child_is_no_shutdown(start, spec, events, do) -> None:
    sup = start([spec("a", restart="transient", significant=True)], auto_shutdown="all_significant")
    end(sup, "a", "kill", do)
    assert sup.which_child("a").last_exit == Killed()
    assert sup.which_child("a").state == "running"
