"""Whole processes: signals, grace, exit codes."""

import signal
import threading
import time

import pytest

from supervisors import Supervisor, run

PATIENCE = 20.0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_S_244_a_signal_stops_children_in_reverse_order_and_the_code_is_zero(process, number) -> None:
    one = process("""
        root = Supervisor.start([spec("a"), spec("b"), Supervisor.child_spec([spec("c")], name="sub")])
        say_when_handled()
        sys.exit(run(root))
    """)
    one.wait_for("ready")
    one.signal(number)
    code, out, err = one.end()
    assert code == 0, err
    assert [line for line in out.splitlines() if line.startswith("stop ")] == ["stop c", "stop b", "stop a"]


@pytest.mark.slow
def test_S_245_a_child_that_hangs_for_ever_cannot_keep_the_process(process) -> None:
    one = process("""
        def hang_here(_actor):
            say("hung")
            threading.Event().wait()

        root = Supervisor.start([spec("stubborn"), spec("good")])
        root.which_child("stubborn").ref.tell(hang_here)
        say_when_handled()
        sys.exit(run(root, grace=0.5))
    """)
    one.wait_for("ready")
    started = time.monotonic()
    one.signal()
    code, out, err = one.end()
    assert time.monotonic() - started < 5
    assert code == 0
    assert "stop good" in out
    assert "stubborn" in err
    assert "hang_here" in err


@pytest.mark.slow
def test_a_second_signal_makes_the_deadline_now(process) -> None:
    one = process("""
        def hang_here(_actor):
            say("hung")
            threading.Event().wait()

        root = Supervisor.start([spec("stubborn", shutdown=INFINITY)])
        root.which_child("stubborn").ref.tell(hang_here)
        def before_stop(left):
            say("stopping", left)
        say_when_handled()
        sys.exit(run(root, grace=3600, before_stop=before_stop))
    """)
    one.wait_for("ready")
    one.signal()
    one.wait_for("stopping 3600")
    one.signal()
    code, _, err = one.end()
    assert code == 0
    assert "stubborn" in err


@pytest.mark.slow
def test_a_third_signal_leaves_at_once(process) -> None:
    one = process("""
        def before_stop(left):
            say("stopping")

        root = Supervisor.start([spec("a", shutdown=INFINITY)])
        root.which_child("a").ref.tell(lambda _actor: threading.Event().wait())
        say_when_handled()
        sys.exit(run(root, grace=3600, before_stop=before_stop))
    """)
    one.wait_for("ready")
    one.signal()
    one.wait_for("stopping")
    one.signal()
    one.signal(signal.SIGINT)
    one.signal(signal.SIGINT)
    code, _, _ = one.end()
    assert code in {128 + signal.SIGINT, 128 + signal.SIGTERM}


@pytest.mark.slow
def test_S_246_a_root_that_gives_up_ends_the_process_with_70(process) -> None:
    one = process("""
        def crash(_actor):
            raise ValueError("boom")

        root = Supervisor.start([spec("a")], max_restarts=0)
        root.which_child("a").ref.tell(crash)
        sys.exit(run(root))
    """)
    code, _, _ = one.end()
    assert code == 70


@pytest.mark.slow
def test_request_shutdown_and_a_normal_end_of_the_root_are_orderly(process) -> None:
    one = process("""
        root = Supervisor.start([spec("a")])
        when_running(request_shutdown)
        say("first", run(root))
        root = Supervisor.start([spec("b")])
        when_running(root.stop)
        say("second", run(root))
    """)
    code, out, err = one.end()
    assert code == 0, err
    assert "first 0" in out
    assert "second 0" in out


@pytest.mark.slow
def test_a_tree_nobody_stopped_is_stopped_when_main_ends(process) -> None:
    one = process("""
        root = Supervisor.start([spec("a"), spec("b")])
        say("main ends")
    """)
    code, out, err = one.end()
    assert code == 0, err
    assert [line for line in out.splitlines() if line.startswith("stop ")] == ["stop b", "stop a"]


@pytest.mark.slow
def test_a_forked_child_has_no_supervisors(process) -> None:
    one = process("""
        import os
        root = Supervisor.start([spec("a", name="worker")], name="root")
        child = os.fork()
        if child == 0:
            answers = [whereis("root"), whereis("worker"), root.is_alive()]
            try:
                root.which_children()
            except NoProcError:
                answers.append("NoProc")
            with Supervisor.start([spec("b")], name="root") as fresh:
                answers.append(len(fresh.which_children()))
            say(*answers)
            os._exit(0)
        os.waitpid(child, 0)
        root.stop()
    """)
    code, out, err = one.end()
    assert code == 0, err
    assert "None None False NoProc 1" in out


def test_S_247_run_belongs_to_the_main_thread_and_puts_handlers_back() -> None:
    root = Supervisor.start([])
    errors = []

    def elsewhere():
        try:
            run(root)
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(PATIENCE)
    assert len(errors) == 1
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stopper = threading.Thread(target=root.stop)
    stopper.start()
    assert run(root, signals=(signal.SIGTERM,)) == 0
    stopper.join(PATIENCE)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
