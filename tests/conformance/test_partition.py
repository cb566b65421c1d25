import os
import threading

import pytest

from supervisors import (
    AlreadyStarted,
    ChildSpec,
    DynamicSupervisor,
    NoProcError,
    PartitionSupervisor,
    PooledActor,
    Registry,
    StartFailed,
    Supervisor,
    WouldDeadlock,
    monitor,
    start_actor,
    whereis,
)
from supervisors.events import ChildExited, ChildStarted
from supervisors.testing import settle

PATIENCE = 10.0


@pytest.fixture
def begin():
    """Start partition supervisors that are stopped with the test."""
    made = []

    def start(child_spec, **options):
        ref = PartitionSupervisor.start(child_spec, **{"name": "partitions", "partitions": 3} | options)
        made.append(ref)
        return ref

    yield start
    for ref in made:
        ref.stop(timeout=1)


def names_of(sup):
    """What each of the partitions says its name is."""
    return [info.ref.ask(lambda me: me.name) for info in sup.which_children()]


def test_S_220_keys_are_spread_over_as_many_partitions_as_there_are_cpus(spec, begin) -> None:
    sup = begin(DynamicSupervisor, partitions=None)
    assert sup.partitions == os.cpu_count() == sup.count_children().specs
    for key in range(100):
        sup.ref(("key", key)).start_child(spec("agent"))
    started = [info.ref.count_children().active for info in sup.which_children()]
    assert sum(started) == 100
    assert all(started)


def test_a_key_goes_to_the_same_partition_again(spec, begin) -> None:
    sup = begin(spec("a"), partitions=4)
    for key in ("text", b"bytes", 3.5, None, ("a", 1), frozenset({1}), True, -7):
        assert sup.ref(key) is sup.ref(key)
    with pytest.raises(TypeError):
        sup.ref(["a list"])


def test_S_221_with_arguments_gives_each_partition_its_own(spec, begin) -> None:
    sup = begin(spec("a", "worker"), with_arguments=lambda args, number: (f"{args[0]}-{number}",))
    assert [sup.ref(key).ask(lambda me: me.name) for key in (0, 1, 2, 3, -2)] == [
        "worker-0",
        "worker-1",
        "worker-2",
        "worker-0",
        "worker-2",
    ]


def test_a_partition_keeps_its_arguments_when_it_is_restarted(spec, begin, events, do) -> None:
    sup = begin(
        spec("a", "worker"), with_arguments=lambda args, number: (*args, None) if number else ("zero",)
    )
    old = sup.ref(0)
    old.tell(do.crash)
    events.wait(ChildStarted, id=0, generation=1)
    assert sup.ref(0) is not old
    assert names_of(sup) == ["zero", "worker", "worker"]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("name", {"name": None}),
        ("partitions", {"partitions": 0}),
        ("partitions", {"partitions": -1}),
        ("partitions", {"partitions": True}),
        ("partitions", {"partitions": 1.5}),
        ("with_arguments", {"with_arguments": 123}),
        ("with_arguments", {"with_arguments": lambda _args, number: number}),
        ("max_restarts", {"max_restarts": -1}),
    ],
)
def test_S_222_options_out_of_range_are_refused_before_anything_starts(spec, field, options, journal) -> None:
    with pytest.raises(ValueError, match=field):
        PartitionSupervisor.start(spec("a", journal=journal), **{"name": "partitions"} | options)
    assert journal == []
    assert whereis("partitions") is None


def test_S_222_the_child_spec_is_required_and_must_suit_n_children(spec) -> None:
    with pytest.raises(ValueError, match="child_spec"):
        PartitionSupervisor.start(name="partitions")
    for bad in (spec("a", name="only one"), spec("a", restart="temporary")):
        with pytest.raises(ValueError, match="child_spec"):
            PartitionSupervisor.start(bad, name="partitions")
    with pytest.raises(TypeError, match="not a child spec"):
        PartitionSupervisor.start("text", name="partitions")
    with pytest.raises(ValueError, match="name"):
        Supervisor.start([(PartitionSupervisor, spec("a"))])


def test_S_223_children_are_listed_by_number_and_counted_by_type(spec, begin, counts) -> None:
    workers = begin(spec("a"))
    assert [info.id for info in workers.which_children()] == [0, 1, 2]
    assert counts(workers) == (3, 3, 0, 3)
    assert counts(begin(DynamicSupervisor, name="supervisors")) == (3, 3, 3, 0)


def test_S_224_fewer_partitions_serve_after_a_resize_and_more_after_another(spec, begin, counts) -> None:
    sup = begin(spec("a"), partitions=8)
    before = [sup.ref(number) for number in range(8)]
    assert sup.resize(3) == 8
    assert sup.partitions == 3
    assert counts(sup) == (8, 3, 0, 8)
    assert {sup.ref(key) for key in range(20)} == set(before[:3])
    assert [info.state for info in sup.which_children()] == ["running"] * 3 + ["stopped"] * 5
    assert not any(ref.is_alive() for ref in before[3:])
    assert sup.resize(8) == 3
    assert counts(sup) == (8, 8, 0, 8)
    assert [sup.ref(number) for number in range(3)] == before[:3]
    assert len({sup.ref(number) for number in range(8)}) == 8
    assert sup.resize(8) == 8
    for count in (9, -1, True, 1.5):
        with pytest.raises(ValueError, match="count"):
            sup.resize(count)


def test_the_last_partitions_are_stopped_first(spec, begin, journal) -> None:
    sup = begin(spec("a", journal=journal), with_arguments=lambda _args, number: (number,))
    sup.resize(1)
    assert journal[3:] == [("stop", 2), ("stop", 1)]


def test_without_partitions_there_is_nobody_to_ask(spec, begin) -> None:
    sup = begin(spec("a"))
    handle = PartitionSupervisor.via("partitions", "key")
    assert sup.resize(0) == 3
    with pytest.raises(NoProcError, match="resize"):
        sup.ref("key")
    with pytest.raises(NoProcError):
        handle.ask("hello")
    assert sup.resize(1) == 0
    assert handle.ask("hello") == "hello"


def test_a_partition_that_does_not_start_ends_the_resize_and_those_before_it_serve(worker, begin) -> None:
    broken = threading.Event()

    def on_start(me):
        if broken.is_set() and me.name == 2:
            raise ValueError("boom")

    sup = begin(
        ChildSpec(id="a", start=worker, kwargs={"on_start": on_start}),
        with_arguments=lambda _args, number: (number,),
    )
    sup.resize(1)
    broken.set()
    with pytest.raises(StartFailed):
        sup.resize(3)
    assert sup.partitions == 2
    broken.clear()
    assert sup.resize(3) == 2
    assert sup.partitions == 3


def test_resizes_of_several_threads_follow_one_another(spec, begin, counts) -> None:
    sup = begin(spec("a"), partitions=4)
    together = threading.Barrier(4, timeout=PATIENCE)

    def resize(count):
        together.wait()
        for _ in range(5):
            sup.resize(count)

    threads = [threading.Thread(target=resize, args=(count,)) for count in (0, 1, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert counts(sup) == (4, sup.partitions, 0, 4)


def test_a_partition_cannot_wait_for_a_resize(spec, begin) -> None:
    sup = begin(spec("a"))
    with pytest.raises(WouldDeadlock):
        sup.ref(0).ask(lambda _me: sup.resize(1))
    assert sup.partitions == 3


def test_S_225_stop_frees_the_name_and_an_unknown_name_is_nobody(spec, begin) -> None:
    sup = begin(spec("a"))
    assert PartitionSupervisor.ref("partitions") is sup
    assert PartitionSupervisor.ref("partitions").partitions == 3
    with pytest.raises(AlreadyStarted):
        begin(spec("a"))
    sup.stop()
    assert whereis("partitions") is None
    for use in (
        lambda: PartitionSupervisor.ref("partitions"),
        lambda: sup.partitions,
        lambda: sup.ref("key"),
    ):
        with pytest.raises(NoProcError):
            use()
    with pytest.raises(NoProcError):
        sup.resize(1)
    with pytest.raises(NoProcError):
        PartitionSupervisor.via("partitions", "key").tell("hello")
    begin(spec("a"))


def test_S_226_a_partition_supervisor_is_a_child_whose_id_is_its_name(spec, start) -> None:
    registry = Registry(object())
    named = registry.via("under")
    sup = start(
        [
            PartitionSupervisor.child_spec(spec("a"), name="over", partitions=2),
            PartitionSupervisor.child_spec(spec("a"), name=named, partitions=1),
        ]
    )
    assert [info.id for info in sup.which_children()] == ["over", named]
    assert PartitionSupervisor.ref("over").partitions == 2
    assert named.whereis().partitions == 1
    assert PartitionSupervisor.via(named, "key").ask("hello") == "hello"


def test_S_226_a_key_of_a_supervisor_is_a_target_and_no_name(spec, begin, worker, start) -> None:
    sup = begin(spec("a"))
    for supervisor in ("partitions", sup):
        target = PartitionSupervisor.via(supervisor, 4)
        assert target.whereis() is sup.ref(1)
        assert target.ask("hello") == "hello"
        target.tell(lambda _me: None)
        assert target.monitor() is not None
        with pytest.raises(ValueError, match="cannot be registered"):
            start_actor(worker, name=target)
        with pytest.raises(StartFailed, match="cannot be registered"):
            start([]).start_child(spec("b", name=target))


def test_a_handle_of_a_key_waits_for_the_restart_of_its_partition(spec, begin, do, events) -> None:
    begun, go = threading.Event(), threading.Event()

    def on_start(me):
        if me.name == "again":
            begun.set()
            go.wait(PATIENCE)
        me.name = "again"

    first = True

    def init(me):
        nonlocal first
        me.name, first = ("first" if first else "again"), False

    sup = begin(spec("a", init=init, on_start=on_start), partitions=1)
    target = PartitionSupervisor.via("partitions", "key", wait=PATIENCE)
    old = target.whereis()
    old.tell(do.crash)
    assert begun.wait(PATIENCE)
    found = []
    finder = threading.Thread(target=lambda: found.append(target.whereis()))
    finder.start()
    with pytest.raises(NoProcError):
        PartitionSupervisor.via("partitions", "key").ask("hello")
    go.set()
    finder.join(PATIENCE)
    assert found == [sup.ref("key")]
    assert found != [old]


def test_a_handle_of_a_key_waits_for_the_supervisor_of_that_name(spec, begin) -> None:
    target = PartitionSupervisor.via("partitions", "key", wait=PATIENCE)
    found, asking = [], threading.Event()

    def find():
        asking.set()
        found.append(target.whereis())

    finder = threading.Thread(target=find)
    finder.start()
    assert asking.wait(PATIENCE)
    sup = begin(spec("a"))
    finder.join(PATIENCE)
    assert found == [sup.ref("key")]


def test_a_handle_of_a_key_does_not_wait_for_what_is_stopped(spec, begin, do) -> None:
    sup = begin(spec("a", restart="transient"), partitions=1)
    ref = sup.ref("key")
    watch = monitor(ref)
    ref.tell(do.finish())
    watch.wait(PATIENCE)
    settle(sup)
    assert PartitionSupervisor.via(sup, "key", wait=PATIENCE * 6).whereis() is None
    with pytest.raises(NoProcError, match="does not run"):
        sup.ref("key")


def test_all_partitions_serve_again_when_their_supervisor_is_restarted(spec, start, events, do) -> None:
    sup = start([PartitionSupervisor.child_spec(spec("a"), name="over", partitions=2, max_restarts=0)])
    target = PartitionSupervisor.via("over", 1)
    PartitionSupervisor.ref("over").resize(1)
    PartitionSupervisor.ref("over").ref(0).tell(do.crash)
    events.wait(ChildStarted, id="over", generation=1)
    assert sup.which_child("over").restarts == 1
    assert PartitionSupervisor.ref("over").partitions == 2
    assert target.ask("hello") == "hello"


def test_a_partition_that_fails_at_start_takes_those_before_it_along(spec, journal) -> None:
    def on_start(me):
        if me.name == 1:
            raise ValueError("boom")

    with pytest.raises(StartFailed):
        PartitionSupervisor.start(
            spec("a", journal=journal, on_start=on_start),
            name="partitions",
            partitions=3,
            with_arguments=lambda _args, number: (number,),
        )
    assert journal == [("start", 0), ("start", 1), ("stop", 0)]


def test_S_127_a_partition_supervisor_has_no_automatic_shutdown(spec) -> None:
    for value in ("any_significant", "all_significant"):
        with pytest.raises(ValueError, match="auto_shutdown"):
            PartitionSupervisor.start(spec("a"), name="partitions", auto_shutdown=value)


def test_partitions_of_a_supervisor_that_stops_are_stopped_in_reverse_order(
    spec, begin, journal, events
) -> None:
    sup = begin(spec("a", journal=journal), with_arguments=lambda _args, number: (number,))
    sup.stop()
    assert journal[3:] == [("stop", 2), ("stop", 1), ("stop", 0)]
    assert events.wait_all(ChildExited, "id", [0, 1, 2])


class Sub(PooledActor):
    """Any actor class may be given bare."""


def test_a_class_is_enough_of_a_child_spec(begin) -> None:
    assert begin(Sub).count_children().active == 3
