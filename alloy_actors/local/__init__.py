"""The embedded model server: real Chat Completions on loopback, answered by a script and not by a model.

`LocalServer` starts it in its own process (demo, examples, tests, benchmarks); `python -m alloy_actors.local` does the same
by hand. What it answers is decided by the rules of `script.py`; how it misbehaves is chosen in the model's name:
`scripted_model("scripted-fast", fault="hang")`, see `directives.py`.

Importing this package loads neither aiohttp nor httpx: only the child process needs a web server.
"""

from alloy_actors.local.directives import scripted_model
from alloy_actors.local.process import LocalServer, LocalServerError
from alloy_actors.local.stats import ServerStats

__all__ = ["LocalServer", "LocalServerError", "ServerStats", "scripted_model"]
