"""The life of the server's process: started, stopped, killed, orphaned."""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from alloy_actors.local import LocalServer, LocalServerError

from .conftest import Client

ROOT = Path(__file__).parents[3]


def is_running(pid: int) -> bool:
    """Whether the process exists; our own children are reaped by whoever started them."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_refused(url: str) -> None:
    """Wait for the listener to go; it is another process's child, so nobody can wait for the process itself."""
    host, port = url.removeprefix("http://").split(":")
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=10) as held:
                held.recv(1)  # ends when the server closes us
        except ConnectionRefusedError:
            return
        except OSError:
            continue


def run_child(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_stopped_server_leaves_no_process_no_thread_and_no_socket() -> None:
    threads = threading.active_count()
    server = LocalServer()
    with server as started:
        assert started is server
        pid = server.pid
        assert pid is not None
        assert is_running(pid)
        url = server.url
        assert server.stats().requests == 0
    assert not is_running(pid)
    assert server.pid is None
    assert threading.active_count() == threads
    wait_until_refused(url)


def test_stop_and_start_may_be_repeated() -> None:
    server = LocalServer()
    server.stop()
    with server:
        first = server.pid
        assert server.start().pid == first
    server.stop()
    with server:
        assert server.pid != first
        assert server.stats().requests == 0


def test_a_server_that_is_not_running_says_so() -> None:
    with pytest.raises(LocalServerError, match="call start"):
        _ = LocalServer().url
    with pytest.raises(LocalServerError, match="call start"):
        LocalServer().stats()


def test_a_server_that_was_killed_says_so_and_can_be_stopped() -> None:
    with LocalServer() as server:
        os.kill(server.pid, signal.SIGKILL)
        wait_until_refused(server.url)
        with pytest.raises(LocalServerError, match="does not answer"):
            server.stats()
    assert server.pid is None


def test_a_server_that_does_not_end_politely_is_killed() -> None:
    with LocalServer() as server:
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)
        server.stop(timeout=0)
        assert not is_running(pid)


def test_a_collected_server_ends_its_process() -> None:
    server = LocalServer().start()
    pid = server.pid
    del server
    gc.collect()
    assert not is_running(pid)


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = LocalServer(port=port)
        with pytest.raises(
            LocalServerError, match=rf"exit code 1\): cannot listen on 127.0.0.1:{port}: .*in use"
        ):
            server.start()
        assert server.pid is None


def test_a_host_open_to_others_needs_a_token() -> None:
    with pytest.raises(LocalServerError, match="give a --token"):
        LocalServer(host="0.0.0.0").start()
    with LocalServer(host="0.0.0.0", token="t") as server:
        assert server.stats().requests == 0


def test_a_server_that_is_not_ready_in_time_is_ended() -> None:
    server = LocalServer(start_timeout=0.0)
    with pytest.raises(LocalServerError, match=r"not ready after 0\.0 s: it wrote nothing to stderr"):
        server.start()
    assert server.pid is None


def test_the_server_ends_with_a_parent_that_was_killed() -> None:
    parent = run_child(
        "from alloy_actors.local import LocalServer; import signal\n"
        "print(LocalServer().start().url, flush=True); signal.pause()"
    )
    url = parent.stdout.readline().strip()
    parent.kill()
    parent.communicate()
    wait_until_refused(url)


def test_the_server_ends_with_a_killed_parent_whose_fork_lives_on() -> None:
    """The fork holds the pipe open: only the parent's number tells."""
    parent = run_child(
        "from alloy_actors.local import LocalServer; import os, signal\n"
        "server = LocalServer().start()\n"
        "fork = os.fork()\n"
        "if fork: print(fork, server.url, flush=True)\n"
        "signal.pause()"
    )
    fork, url = parent.stdout.readline().split()
    try:
        parent.kill()
        wait_until_refused(url)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(fork), signal.SIGKILL)
        parent.communicate()


def test_a_fork_that_ends_leaves_the_server_to_its_parent() -> None:
    code = (
        "from alloy_actors.local import LocalServer; import os, sys\n"
        "with LocalServer() as server:\n"
        "    fork = os.fork()\n"
        "    if not fork: server.stop(); sys.exit(0)\n"
        "    assert os.waitpid(fork, 0)[1] == 0\n"
        "    print(server.stats().requests)\n"
    )
    child = run_child(code)
    assert child.communicate()[0] == "0\n"
    assert child.returncode == 0


def test_the_server_ends_with_a_program_that_forgot_it() -> None:
    child = run_child(
        "from alloy_actors.local import LocalServer\nkept = LocalServer().start(); print(kept.pid)"
    )
    pid = int(child.communicate()[0])
    assert child.returncode == 0
    assert not is_running(pid)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_by_hand_it_prints_one_line_and_ends_on_a_signal(signum: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "alloy_actors.local", "--port", "0"],
        stdin=subprocess.DEVNULL,  # without --tied a closed input is nothing to it
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    line = json.loads(child.stdout.readline())
    assert line["url"].startswith("http://127.0.0.1:")
    assert line["pid"] == child.pid
    assert "No language model" in line["note"]
    child.send_signal(signum)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (0, "", "")


def test_a_signal_ends_it_while_requests_hang() -> None:
    with LocalServer() as server:
        client = Client(server)
        client.begin(fault="hang")
        server.wait_stats(active=1)
        server.stop(timeout=20)
        client.connection.close()
    assert server.pid is None


def test_importing_it_loads_neither_aiohttp_nor_httpx() -> None:
    code = (
        "import sys; before = set(sys.modules); import alloy_actors.local\n"
        "print([name for name in ('aiohttp', 'httpx', 'httpx_aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
