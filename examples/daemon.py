"""A daemon: letters in a folder are answered by agents, one per correspondent, under one supervision tree.

A letter is a file `FOLDER/in/NAME-ANYTHING.txt`. Its answer gets the same name in `FOLDER/out`, and then the letter is removed.
Conversations and accepted letters are kept in `FOLDER/agents.db`, so nothing is lost or answered twice when the daemon is
stopped or killed: what it was at goes on after its next start. SIGTERM or Ctrl-C stops it in order. `daemon.service`, beside
this file, is a systemd unit for it.

Run it: python examples/daemon.py FOLDER
        echo "Hello, who are you?" > FOLDER/in/ada-1.txt

ALLOY_API_URL, ALLOY_MODEL and ALLOY_API_KEY name a model server; without the first, the scripted one answers.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pykka

import alloy_actors as alloy
from alloy_actors.local import LocalServer
from supervisors import Backoff, ChildSpec, format_tree, sleep

INTERVAL = 0.2  # seconds between two looks
DRAIN, GRACE = 2.0, 25.0  # seconds to finish runs, and to stop in; the unit's TimeoutStopSec is longer
IDLE = 600.0  # seconds after which nobody's correspondence is kept in memory
LOOK = "look"


class Postman(pykka.ThreadingActor):
    """Hands letters to agents. An ordinary pykka actor: its supervisor starts it, and brings it back when it fails."""

    def __init__(self, folder: Path, system: alloy.AgentSystem) -> None:
        super().__init__()
        self._inbox, self._outbox = folder / "in", folder / "out"
        self._system = system
        self._sent: set[str] = set()

    def on_start(self) -> None:
        self.actor_ref.tell(LOOK)

    def on_receive(self, message: object) -> None:
        if message == LOOK:
            # A folder that is not there fails here, and the back-off says how soon it is looked for again.
            letters = {path.name for path in self._inbox.iterdir() if path.suffix == ".txt"}
            self._sent &= letters
            for name in sorted(letters - self._sent):
                self._send(self._inbox / name)
            sleep(INTERVAL)  # ends at once when this actor is to stop
            self.actor_ref.tell(LOOK)

    def _send(self, letter: Path) -> None:
        agent = self._system.agent(letter.stem.partition("-")[0])
        answer = self._outbox / letter.name

        def write(result: alloy.Result) -> None:
            if result.status == "cancelled":
                return  # the daemon stops: the letter stays, and its request goes on after the next start
            answer.write_text(result.text or f"[{result.status}: {result.error}]\n", encoding="utf-8")
            letter.unlink(missing_ok=True)
            print(f"answered {letter.name}: {result.status}", flush=True)

        # A postman that was restarted, or a whole daemon, sends letters again: by their id they are the same requests.
        text = letter.read_text(encoding="utf-8", errors="replace") or "(an empty letter)"
        try:
            agent.send_message(text, write, request_id=letter.name)
        except alloy.QueueFullError:
            return  # `max_pending` wait for this agent already: the next look tries again
        self._sent.add(letter.name)


def serve(folder: Path, provider: alloy.Provider) -> int:
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    system = alloy.AgentSystem(
        store=f"sqlite:///{folder.resolve() / 'agents.db'}",
        factory=lambda name: {
            "provider": provider,
            "system_prompt": f"You write to {name}.",
            "idle_timeout": IDLE,
        },
    )
    postman = ChildSpec(
        id="postman",
        start=Postman,
        args=(folder, system),
        backoff=Backoff(initial=0.1, maximum=5.0),
    )
    system.supervisor.start_child(postman)  # after the agents, so it stops before them
    print(f"{format_tree(system.supervisor)}\nlooking into {folder / 'in'}", flush=True)
    # Until a signal. Then runs get some seconds to finish, and what is left is interrupted; the exit code says if the tree held.
    return system.run(drain_timeout=DRAIN, grace=GRACE)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python examples/daemon.py FOLDER", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        url = os.environ.get("ALLOY_API_URL") or stack.enter_context(LocalServer()).url
        model = os.environ.get("ALLOY_MODEL", "scripted-fast")
        provider = alloy.OpenAICompat(model=model, api_key=os.environ.get("ALLOY_API_KEY"), api_url=url)
        code = serve(Path(sys.argv[1]), provider)
    alloy.shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main())
