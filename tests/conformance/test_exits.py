"""How whole processes end: with which exit code, whose `on_stop` has run, who is named when a thread would not end."""

import signal
import sys

import pytest

pytestmark = pytest.mark.slow

# A tree of which one child hangs in a C call: nothing can be raised in there.
STUCK = """
import pykka

class T(pykka.ThreadingActor):
    use_daemon_thread = DAEMON
    def on_stop(self):
        say("stop stuck")
    def on_receive(self, message):
        hung.set()
        time.sleep(1000)

hung = threading.Event()
daemon.EXIT_DEADLINE = 0.3
root = Supervisor.start([spec("a"), ChildSpec(id="stuck", start=T), spec("b")])
root.which_child("stuck").ref.tell("hang")
assert hung.wait(20)
"""

IN_MAIN = {
    "end of main": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise LookupError('in main')", 1),
    "Ctrl-C": ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
}


def stops(out):
    return [line for line in out.splitlines() if line.startswith("stop ")]


@pytest.mark.parametrize(("last", "code"), IN_MAIN.values(), ids=IN_MAIN)
def test_however_main_ends_a_tree_that_nobody_stopped_is_stopped(process, last, code) -> None:
    one = process(f"""
        root = Supervisor.start([spec("a"), Supervisor.child_spec([spec("b"), spec("c")], name="sub")])
        {last}
    """)
    ended, out, err = one.end()
    assert ended == code, err
    assert stops(out) == ["stop c", "stop b", "stop a"]
    assert ("in main" in err) is (code == 1)


@pytest.mark.parametrize(("last", "code"), IN_MAIN.values(), ids=IN_MAIN)
def test_however_main_ends_a_child_stuck_in_a_c_call_is_reported_and_holds_nobody_up(
    process, last, code
) -> None:
    one = process(
        STUCK.replace("DAEMON", "True") + f"\nwhile not root.is_alive(): pass\ntime.sleep(0)\n{last}\n"
    )
    ended, out, err = one.end()
    assert ended == code, err
    assert stops(out) == ["stop b", "stop a"]
    assert "1 thread(s) would not end" in err
    assert "/stuck on T " in err
    assert "in on_receive" in err


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon thread", "non-daemon thread"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_under_run_a_signal_ends_the_process_beside_a_child_stuck_in_a_c_call(
    process, number, daemon
) -> None:
    one = process(
        STUCK.replace("DAEMON", str(daemon)) + "say_when_handled()\nsys.exit(run(root, grace=0.3))\n"
    )
    one.wait_for("ready")
    one.signal(number)
    ended, out, err = one.end()
    assert ended == 0, err
    assert stops(out) == ["stop b", "stop a"]
    assert "/stuck on T " in err
    assert "time.sleep(1000)" in err or "in on_receive" in err


def test_under_run_a_second_sigterm_does_not_wait_for_the_grace_of_the_first(process) -> None:
    one = process(
        STUCK.replace("DAEMON", "False")
        + """
def before_stop(left):
    say("stopping")
say_when_handled()
sys.exit(run(root, grace=3600, before_stop=before_stop))
"""
    )
    one.wait_for("ready")
    one.signal()
    one.wait_for("stopping")
    one.signal()
    ended, out, err = one.end()
    assert ended == 0, err
    # Side by side, and only as far as their threads are quick: there is no time left, so a slow one is left behind.
    assert set(stops(out)) <= {"stop a", "stop b"}
    assert "/stuck on T " in err


def test_a_root_that_gave_up_beside_a_thread_that_would_not_end_ends_with_70_and_the_report(process) -> None:
    one = process("""
        def crash(_actor):
            raise ValueError("boom")

        def hang(_actor):
            say("hung")
            time.sleep(1000)

        root = Supervisor.start([spec("a", shutdown=0.1), spec("b")], max_restarts=0)
        root.which_child("a").ref.tell(hang)
        when_running(lambda: root.which_child("b").ref.tell(crash))
        sys.exit(run(root))
    """)
    ended, _, err = one.end()
    assert ended == 70, err
    assert "Supervisor/a on " in err
    assert "in hang" in err


def test_without_forcing_run_returns_and_main_goes_on(process) -> None:
    one = process("""
        def hang(_actor):
            say("hung")
            time.sleep(1000)

        root = Supervisor.start([spec("a", shutdown=0.1)])
        root.which_child("a").ref.tell(hang)
        when_running(request_shutdown)
        say("code", run(root, force_exit=False))
        sys.exit(4)
    """)
    ended, out, err = one.end()
    assert ended == 4, err
    assert "code 0" in out
    assert "in hang" in err


def test_a_start_that_is_interrupted_stops_what_had_started(process) -> None:
    one = process("""
        def hang(actor):
            say("hung")
            time.sleep(1000)

        class Slow(W):
            on_start = hang

        daemon.EXIT_DEADLINE = 0.3
        Supervisor.start([spec("a"), ChildSpec(id="slow", start=Slow, args=("slow",))])
    """)
    one.wait_for("hung")
    one.signal(signal.SIGINT)
    ended, out, err = one.end()
    assert ended == -signal.SIGINT, err
    assert stops(out) == ["stop a"]
    assert "/slow on " in err


def test_without_run_sigterm_means_what_it_always_means(process) -> None:
    """Nothing of ours runs: a program that wants its tree stopped calls run(), or handles the signal itself."""
    one = process("""
        root = Supervisor.start([spec("a")])
        say("ready")
        signal.pause()
    """)
    one.wait_for("ready")
    one.signal()
    ended, out, _ = one.end()
    assert ended == -signal.SIGTERM
    assert stops(out) == []


FORKS = {  # how the child ends, and its exit code
    "end of script": ("pass", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise LookupError", 1),
    "os._exit": ("os._exit(4)", 4),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on this system")
@pytest.mark.parametrize(("last", "code"), FORKS.values(), ids=FORKS)
def test_a_fork_in_the_middle_ends_both_processes_and_stops_the_parents_tree_once(
    process, last, code
) -> None:
    one = process(f"""
        import os
        root = Supervisor.start([spec("a", name="a"), spec("b")])
        busy = threading.Event()
        asked = whereis("a").ask(lambda _actor: busy.wait(20), block=False)
        pid = os.fork()
        if pid == 0:
            say("child", root.is_alive())
            {last}
        else:
            status = os.waitpid(pid, 0)[1]
            busy.set()
            say("parent", asked.get(timeout=20), os.waitstatus_to_exitcode(status))
    """)
    ended, out, err = one.end()
    assert ended == 0, err
    assert out.splitlines()[-4:] == ["child False", f"parent True {code}", "stop b", "stop a"]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on this system")
def test_a_process_of_multiprocessing_that_was_forked_ends_by_itself(process) -> None:
    one = process("""
        import multiprocessing
        root = Supervisor.start([spec("a")])
        forked = multiprocessing.get_context("fork").Process(target=say, args=("in the child",))
        forked.start()
        forked.join(20)
        say("code", forked.exitcode)
    """)
    ended, out, err = one.end()
    assert ended == 0, err
    assert out.splitlines()[-3:] == ["in the child", "code 0", "stop a"]


def test_a_child_that_forks_under_run_has_no_part_in_the_parents_end(process) -> None:
    one = process("""
        import os

        def fork(_actor):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if current() is None and whereis("a") is None else 1)
            return os.waitpid(pid, 0)[1]

        root = Supervisor.start([spec("a", name="a"), spec("b")])
        say("forked", whereis("a").ask(fork, timeout=20))
        say_when_handled()
        sys.exit(run(root))
    """)
    one.wait_for("ready")
    one.signal()
    ended, out, err = one.end()
    assert ended == 0, err
    assert "forked 0" in one.lines
    assert stops(out) == ["stop b", "stop a"]
