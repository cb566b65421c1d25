import weakref

import pykka
import pytest

from supervisors import (
    BRUTAL_KILL,
    IGNORE,
    INFINITY,
    AlreadyStarted,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    Exit,
    InvalidChildSpec,
    InvalidOption,
    NotFound,
    RestartType,
    Shutdown,
    StartFailed,
    Supervisor,
    names,
    start_actor,
    whereis,
)

PATIENCE = 10.0


def ignore(_actor):
    return IGNORE


def fail(_actor):
    raise ValueError("no")


def test_S_001_a_supervisor_without_children_starts_and_stops(start) -> None:
    sup = start([])
    assert sup.is_alive()
    assert sup.stop() is True
    assert sup.wait(PATIENCE) == Shutdown()
    assert not sup.is_alive()
    assert sup.stop() is False


def test_S_002_an_error_in_children_fails_the_start_and_leaves_nothing() -> None:
    class Bad(Supervisor):
        def children(self):
            raise ValueError("mine")

    with pytest.raises(StartFailed) as caught:
        Bad.start(name="bad")
    assert isinstance(caught.value.reason.exception, ValueError)
    assert whereis("bad") is None
    assert pykka.ActorRegistry.get_by_class(Bad) == []


def test_S_003_rubbish_from_children_is_refused_by_name() -> None:
    class Bad(Supervisor):
        def children(self):
            return 42

    with pytest.raises(InvalidOption, match="children"):
        Bad.start()
    with pytest.raises(InvalidOption, match="children"):
        Supervisor.start(42)


def test_S_004_children_that_answers_ignore_starts_nothing() -> None:
    class Not(Supervisor):
        def children(self):
            return IGNORE

    assert Not.start(name="not") is None
    assert whereis("not") is None


def test_S_005_a_permanent_child_that_answers_ignore_is_kept_as_stopped(start, spec, counts) -> None:
    sup = start([])
    assert sup.start_child(spec("a", on_start=ignore)) is None
    sup.start_child(spec("b"))
    first = sup.which_children()[0]
    assert (first.id, first.state, first.ref) == ("a", "stopped", None)
    assert counts(sup) == (2, 1, 0, 2)


def test_S_006_S_007_a_temporary_child_that_answers_ignore_is_dropped(start, spec, counts) -> None:
    sup = start([spec("a", restart="temporary", on_start=ignore), spec("b", restart="temporary")])
    assert [child.id for child in sup.which_children()] == ["b"]
    assert counts(sup) == (1, 1, 0, 1)
    assert sup.start_child(spec("c", restart="temporary", on_start=ignore)) is None
    assert [child.id for child in sup.which_children()] == ["b"]


def test_S_008_a_dynamic_child_that_answers_ignore_is_not_kept(start_dynamic, spec, counts) -> None:
    sup = start_dynamic()
    assert sup.start_child(spec(restart="temporary", on_start=ignore)) is None
    assert sup.start_child(spec(restart="temporary")).ask("hello") == "hello"
    assert counts(sup) == (1, 1, 0, 1)


def test_a_start_callable_may_answer_ignore(start, counts) -> None:
    sup = start([ChildSpec(id="a", start=lambda: IGNORE)])
    assert counts(sup) == (1, 0, 0, 1)


def test_S_009_a_child_that_fails_in_on_start_is_not_kept(start, spec) -> None:
    sup = start([])
    with pytest.raises(StartFailed) as caught:
        sup.start_child(spec(on_start=fail))
    assert isinstance(caught.value.reason, Crash)
    assert isinstance(caught.value.reason.exception, ValueError)
    assert sup.which_children() == []
    assert sup.is_alive()


def test_S_010_a_start_callable_that_returns_rubbish_says_what(start) -> None:
    sup = start([])
    with pytest.raises(StartFailed, match="42"):
        sup.start_child(ChildSpec(id="a", start=lambda: 42))
    assert sup.which_children() == []


def test_S_011_a_dynamic_supervisor_keeps_no_failed_child(start_dynamic, spec) -> None:
    sup = start_dynamic()
    for bad in (spec(on_start=fail), ChildSpec(id="a", start=lambda: 42)):
        with pytest.raises(StartFailed):
            sup.start_child(bad)
    assert sup.which_children() == []


def test_S_012_what_a_start_callable_raises_is_the_reason(start_dynamic) -> None:
    def raising(error):
        def start_it():
            raise error

        return ChildSpec(id="a", start=start_it)

    sup = start_dynamic()
    for error in (ValueError("x"), SystemExit(3)):
        with pytest.raises(StartFailed) as caught:
            sup.start_child(raising(error))
        assert caught.value.reason.exception is error
    with pytest.raises(StartFailed) as caught:
        sup.start_child(raising(Exit(Shutdown("x"))))
    assert caught.value.reason == Shutdown("x")
    assert sup.is_alive()


def test_S_013_the_defaults_of_a_spec_are_visible(start, worker) -> None:
    sup = start([ChildSpec(id="a", start=worker)])
    got = sup.get_childspec("a")
    assert (got.restart, got.shutdown, got.type, got.significant) == (
        RestartType.PERMANENT,
        5.0,
        "worker",
        False,
    )


def test_S_014_a_supervisor_as_child_has_the_type_and_no_limit(start) -> None:
    sup = start(
        [ChildSpec(id="a", start=Supervisor), ChildSpec(id="b", start=Supervisor, shutdown=BRUTAL_KILL)]
    )
    assert (sup.get_childspec("a").type, sup.get_childspec("a").shutdown) == ("supervisor", INFINITY)
    assert sup.get_childspec("b").shutdown is BRUTAL_KILL
    assert sup.count_children().supervisors == 2


def test_S_015_S_016_specs_can_be_read_back(start, start_dynamic, spec) -> None:
    with pytest.raises(NotFound):
        start([]).get_childspec("nobody")
    sup = start_dynamic()
    specs = [spec(index) for index in range(3)]
    refs = [sup.start_child(one) for one in specs]
    assert [sup.get_childspec(ref) for ref in refs] == specs
    with pytest.raises(NotFound):
        sup.get_childspec(sup)


def test_S_018_S_019_children_start_in_list_order_each_after_the_one_before_is_up(
    start, spec, journal
) -> None:
    ids = ["m", "a", "z", "b", "k"]

    def constructed(actor):
        journal.append(("init", actor.name))

    start([spec(name, journal=journal, init=constructed) for name in ids])
    assert journal == [(word, name) for name in ids for word in ("init", "start")]


def test_S_020_a_failed_initial_child_stops_those_before_it_in_reverse(spec, journal) -> None:
    def constructed(actor):
        journal.append(("init", actor.name))

    specs = [
        spec("1", journal=journal),
        spec("2", journal=journal),
        spec("3", on_start=fail),
        spec("4", journal=journal, init=constructed),
    ]
    with pytest.raises(StartFailed) as caught:
        Supervisor.start(specs)
    assert caught.value.child_id == "3"
    assert isinstance(caught.value.reason.exception, ValueError)
    assert journal == [("start", "1"), ("start", "2"), ("stop", "2"), ("stop", "1")]


def test_S_021_a_grandchild_that_fails_names_the_whole_path(spec, journal) -> None:
    inner = ChildSpec(id="inner", start=Supervisor, args=([spec("leaf", on_start=fail)],))
    outer = ChildSpec(id="outer", start=Supervisor, args=([spec("first", journal=journal), inner],))
    with pytest.raises(StartFailed) as caught:
        Supervisor.start([outer])
    for name in ("outer", "inner", "leaf"):
        assert name in str(caught.value)
    assert journal == [("start", "first"), ("stop", "first")]
    assert pykka.ActorRegistry.get_all() == []


def test_S_022_a_taken_supervisor_name_starts_no_child(spec, journal, worker) -> None:
    holder = start_actor(worker, name="taken")
    with pytest.raises(AlreadyStarted) as caught:
        Supervisor.start([spec("a", journal=journal)], name="taken")
    assert caught.value.ref is holder
    assert journal == []
    holder.stop()


def test_S_023_S_029_a_taken_child_name_leaves_holder_and_supervisor_alone(start, spec, worker) -> None:
    holder = start_actor(worker, name="taken")
    sup = start([])
    with pytest.raises(AlreadyStarted) as caught:
        sup.start_child(spec("a", name="taken"))
    assert caught.value.ref is holder
    assert sup.which_children() == []
    assert holder.ask("still here") == "still here"
    holder.stop()
    with pytest.raises(StartFailed):
        sup.start_child(spec("a", name="taken", on_start=fail))
    assert whereis("taken") is None
    assert sup.start_child(spec("a", name="taken")) is whereis("taken")


def test_S_024_a_supervisor_is_found_by_name(start, spec) -> None:
    sup = start([spec("a")], name="root")
    assert Supervisor.ref("root") is sup
    assert [child.id for child in Supervisor.ref("root").which_children()] == ["a"]
    by_via = start([], name=names.via("via"))
    assert Supervisor.ref("via") is Supervisor.ref(names.via("via")) is by_via


def test_S_028_dynamic_supervisors_as_children_are_told_apart_by_name(start) -> None:
    several = [(DynamicSupervisor, {"name": name}) for name in ("x", "y", "z")]
    sup = start([*several, DynamicSupervisor])
    assert [child.id for child in sup.which_children()] == ["x", "y", "z", DynamicSupervisor]
    with pytest.raises(AlreadyStarted):
        sup.start_child(DynamicSupervisor)
    assert DynamicSupervisor.ref("y").count_children().specs == 0


def test_S_029a_the_defaults_are_those_of_elixir() -> None:
    for kind in (Supervisor, DynamicSupervisor):
        assert (kind.strategy, kind.max_restarts, kind.max_seconds, kind.auto_shutdown) == (
            "one_for_one",
            3,
            5.0,
            "never",
        )
    assert (DynamicSupervisor.max_children, DynamicSupervisor.extra_args) == (INFINITY, ())


def test_S_029b_no_name_is_no_name_and_an_unhashable_one_is_refused(start) -> None:
    first, second = start([]), start([])
    assert first is not second
    assert names.keys(first) == []
    with pytest.raises(TypeError):
        Supervisor.start([], name=[])


def test_S_034_one_id_twice_starts_nothing(spec, journal) -> None:
    with pytest.raises(InvalidChildSpec) as caught:
        Supervisor.start([spec("a", journal=journal), spec("a", journal=journal)])
    assert caught.value.field == "id"
    assert journal == []


def test_S_142_the_ref_of_start_child_is_ready_to_be_asked(start, spec) -> None:
    def set_up(actor):
        actor.ready = True

    sup = start([])
    ref = sup.start_child(spec("a", on_start=set_up))
    assert ref.ask(lambda actor: actor.ready) is True


def test_S_069_the_arguments_of_a_temporary_child_are_let_go(start_dynamic, worker) -> None:
    class Large:
        pass

    def one():
        large = Large()
        ref = sup.start_child(ChildSpec(id="a", start=worker, kwargs={"keep": large}, restart="temporary"))
        return ref, weakref.ref(large)

    sup = start_dynamic()
    ref, alive = one()
    assert alive() is not None
    ref.ask(lambda actor: setattr(actor, "keep", None))
    assert alive() is None


def test_S_070_a_permanent_child_is_restarted_with_the_same_objects(start, spec, events, do) -> None:
    from supervisors.events import ChildStarted

    large = object()
    sup = start([spec("a", keep=large)])
    sup.which_child("a").ref.tell(do.crash)
    ref = events.wait(ChildStarted, id="a", generation=1).ref
    assert ref.ask(lambda actor: actor.keep) is large
