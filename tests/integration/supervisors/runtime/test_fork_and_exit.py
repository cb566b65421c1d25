"""What becomes of actors in a forked child, and of the process when its main thread ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

WAIT = 30

PRELUDE = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12+: forking a process with threads
import pykka
from supervisors.errors import NoProcError
from supervisors.calls import call
from supervisors.registry import Registry, names, whereis
from supervisors.links import monitor
from supervisors.reasons import NoProc
from supervisors.runtime import *

class Echo(PooledActor):
    def on_receive(self, message):
        return message(self) if callable(message) else message
    def on_stop(self):
        print("on_stop", flush=True)

class Threaded(pykka.ThreadingActor):
    def on_receive(self, message):
        return message
"""

FORK = """
def in_child(body):
    pid = os.fork()
    if pid == 0:
        try:
            body()
            status = 0
        except BaseException as error:
            import traceback
            traceback.print_exc()
            status = 1
        os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def run(body: str, *, fork: bool = False) -> subprocess.CompletedProcess[str]:
    code = PRELUDE + (FORK if fork else "") + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT, check=False
    )


@needs_fork
def test_in_a_forked_child_all_actors_are_dead_and_new_ones_work() -> None:
    done = run(
        """
        refs = [start_actor(Echo, name="pooled"), start_actor(Threaded, name="threaded"), Threaded.start()]
        held = threading.Event()
        busy = start_actor(Echo)
        asked = busy.ask(lambda actor: held.wait(20), block=False)
        queued = busy.ask("queued", block=False)

        def child():
            for ref in [*refs, busy]:
                assert not ref.is_alive()
                try:
                    ref.ask("x", timeout=5)
                except pykka.ActorDeadError:
                    pass
                else:
                    raise AssertionError("answered")
            for future in (asked, queued):
                try:
                    future.get(timeout=5)
                except NoProcError:
                    pass
            assert pykka.ActorRegistry.get_all() == []
            assert whereis("pooled") is None is whereis("threaded")
            assert monitor(refs[0]).wait(0).reason == NoProc()
            assert not request_stop(refs[0])
            assert current() is None
            again = start_actor(Echo, name="pooled")
            assert again.ask("new", timeout=5) == "new"
            assert again.stop(timeout=5)
            release_idle_threads()
            assert threading.active_count() == 1

        in_child(child)
        held.set()
        assert [ref.ask("mine", timeout=5) for ref in refs] == ["mine"] * 3
        assert queued.get(timeout=5) == "queued"
        pykka.ActorRegistry.stop_all()
        print("fine")
        """,
        fork=True,
    )

    assert (done.stdout.splitlines()[-1:], done.returncode) == (["fine"], 0), done.stderr


@needs_fork
def test_locks_held_at_the_fork_do_not_hang_the_child() -> None:
    done = run(
        """
        ref = start_actor(Echo, name="a")
        from supervisors.runtime.incarnation import locks
        taken, release = threading.Event(), threading.Event()
        def hold():
            with locks.life, pykka.ActorRegistry._actor_refs_lock, Registry._named_lock:
                with names.registrations._lock, names.locks._guard, Dispatcher.get("actors")._lock:
                    taken.set()
                    release.wait(20)
        topics = Registry("topics", keys="duplicate")
        topics.register("key", ref=ref)
        held = names.lock("key")
        held.__enter__()
        thread = threading.Thread(target=hold)
        thread.start()
        assert taken.wait(5)

        def child():
            again = start_actor(Echo, name="a")
            assert call("a", "new", 5) == "new"
            assert Registry.get("topics") is topics
            assert topics.count() == 0
            topics.register("key", ref=again)
            with names.lock("key"):
                pass
            assert again.stop(timeout=5)

        in_child(child)
        release.set()
        thread.join()
        assert topics.count() == 1
        ref.stop()
        print("fine")
        """,
        fork=True,
    )

    assert (done.stdout.splitlines()[-1:], done.returncode) == (["fine"], 0), done.stderr


@needs_fork
def test_a_handler_that_forks_has_no_actor_in_the_child() -> None:
    done = run(
        """
        def fork(actor):
            def child():
                assert current() is None
                assert not actor.actor_ref.is_alive()
                fresh = start_actor(Echo)
                assert fresh.ask("new", timeout=5) == "new"
            in_child(child)
            return "forked"

        ref = start_actor(Echo)
        assert ref.ask(fork, timeout=20) == "forked"
        ref.stop()
        print("fine")
        """,
        fork=True,
    )

    assert (done.stdout.splitlines()[-1:], done.returncode) == (["fine"], 0), done.stderr


@needs_fork
def test_urns_of_a_child_are_not_those_of_its_parent() -> None:
    done = run(
        """
        def child():
            print(PooledActor().actor_urn, flush=True)
        in_child(child)
        in_child(child)
        print(PooledActor().actor_urn)
        """,
        fork=True,
    )

    assert len(set(done.stdout.split())) == 3, done.stderr


EXITS = {
    "normal": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise LookupError", 1),
    "atexit stop_all": ("import atexit; atexit.register(pykka.ActorRegistry.stop_all)", 0),
    "stop_all": ("pykka.ActorRegistry.stop_all()", 0),
}


@pytest.mark.parametrize(("last", "code"), EXITS.values(), ids=EXITS.keys())
def test_the_process_ends_with_its_main_thread(last, code) -> None:
    hangs = "stop_all" not in last
    done = run(
        f"refs = [start_actor(Echo), start_actor(Threaded)]\n"
        f"busy = start_actor(Echo)\n"
        f"busy.tell(lambda actor: threading.Event().wait(20) if {hangs} else None)\n"
        f"{last}\n"
    )

    assert done.returncode == code, done.stderr
    assert done.stdout.count("on_stop") == (2 if "stop_all" in last else 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_although_a_handler_hangs(number) -> None:
    done = run(
        f"""
        import signal
        busy = start_actor(Echo)
        asked = busy.ask(lambda actor: os.kill(os.getpid(), {int(number)}) or threading.Event().wait(20), block=False)
        asked.get()
        """
    )

    assert done.returncode in {-number, 1, 130}, done.stderr
