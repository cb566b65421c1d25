"""Run the stand-in by hand or as `LocalServer`'s child: `python -m alloy_actors.local --port 8080`.

Prints one line of JSON with the URL when it listens. Ends on SIGTERM or SIGINT; with `--tied`, also when its standard input
closes or its parent is gone, so that a test runner killed by force leaves no server behind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from alloy_actors.local.directives import MODELS

if TYPE_CHECKING:
    from collections.abc import Coroutine

_PARENT_CHECK = 0.5  # seconds


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m alloy_actors.local", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--token", default=os.environ.get("ALLOY_LOCAL_TOKEN"), help="ask for this bearer token"
    )
    parser.add_argument(
        "--tied", action="store_true", help="end when standard input closes or the parent is gone"
    )
    options = parser.parse_args(arguments)
    if not options.token and not _is_loopback(options.host):
        parser.error(f"--host {options.host} is open to others: give a --token, or stay on 127.0.0.1")
    if not 0 <= options.port <= 65535:
        parser.error("--port must be from 0 to 65535")
    try:
        _run(_serve(options.host, options.port, options.token or None, tied=options.tied))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error}\n")
        return 1
    return 0


async def _serve(host: str, port: int, token: str | None, *, tied: bool) -> None:
    from alloy_actors.local.server import ABOUT, StandIn

    parent = os.getppid()  # before the parent can know that we are ready, and be killed
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: the default action will do
            loop.add_signal_handler(signum, end.set)
    server = StandIn(token)
    bound = await server.start(host, port)
    shown = f"[{host}]" if ":" in host else host
    line = {
        "url": f"http://{shown}:{bound}",
        "pid": os.getpid(),
        "models": list(MODELS),
        "note": ABOUT.strip(),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    if tied:
        threading.Thread(target=_watch_stdin, args=(loop, end), name="watch-stdin", daemon=True).start()
    while not end.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), _PARENT_CHECK if tied else None)
        if tied and os.getppid() != parent:  # stdin may be kept open by a fork of the parent
            break
    await server.stop()


def _watch_stdin(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    # os.read and not sys.stdin: a thread inside a buffered read would hold its lock at interpreter exit.
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending already
        loop.call_soon_threadsafe(end.set)


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        asyncio.run(serving)
    else:
        uvloop.run(serving)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
