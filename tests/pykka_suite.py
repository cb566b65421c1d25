"""Run pykka's own test suite, from its sdist, against PooledActor beside pykka's own runtime.

Usage: python tests/pykka_suite.py [pytest options]

Needs the network (pip) for the sdist, once per run. Two tests fail and are expected to: they say that a BaseException in
one actor stops all actors; here it ends that actor only (docs/design.md). Anything else fails this script too.

Our crash reports go through structlog with words of our own, so the suite's conftest gets a structlog configuration
that hands them to logging, spelled as pykka spells them: number, level and exception of the records are checked.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

EXPECTED = {
    "test_actor.py::test_all_actors_are_stopped_on_base_exception[pooled]",
    "test_logging.py::test_base_exception_is_logged[pooled]",
}

CONFTEST = """

import sys

import structlog
from supervisors.runtime import PooledActor, PooledFuture
from supervisors.runtime.flag import Flag

RUNTIMES["pooled"] = pytest.param(
    Runtime(
        name="pooled",
        actor_class=PooledActor,
        event_class=Flag,
        future_class=PooledFuture,
        sleep_func=time.sleep,
    ),
    id="pooled",
)


@pytest.fixture(scope="session", params=RUNTIMES.values())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return cast("Runtime", request.param)


def _as_pykka_says(_logger, _method, event):
    if event["event"] in {"actor_crashed", "cleanup_error"}:
        event["event"] = f"Unhandled exception in {event['actor']}:"
        event["exc_info"] = sys.exc_info()  # ours is text
    return event


structlog.configure(
    processors=[_as_pykka_says, structlog.stdlib.render_to_log_kwargs],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=False,
)
"""


def main(options: list[str]) -> int:
    """Download, patch, run; 0 when exactly the expected tests fail."""
    version = importlib.metadata.version("pykka")
    with tempfile.TemporaryDirectory(prefix="pykka-suite-") as folder:
        sdist = download(version, Path(folder))
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        root = Path(folder) / f"pykka-{version}"
        # Tests run against the installed pykka, not the unpacked one.
        (root / "src").rename(root / "src-not-used")
        conftest = root / "tests" / "conftest.py"
        conftest.write_text(conftest.read_text() + CONFTEST)
        (root / "pyproject.toml").unlink()
        (root / "pytest.ini").write_text("[pytest]\naddopts = -p no:llmock\n")
        extra = Path(folder) / "extra"
        pip("install", "--no-deps", "--target", str(extra), "pytest-mock")  # the suite needs it, we do not
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "tests", "-q", "-rfE", *options],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(extra)},
            capture_output=True,
            text=True,
            check=False,
        )
    print(run.stdout[-6000:], run.stderr[-2000:], sep="\n")
    failed = set(re.findall(r"^(?:FAILED|ERROR) tests/(\S+)", run.stdout, flags=re.MULTILINE))
    for name in sorted(failed - EXPECTED):
        print(f"UNEXPECTED FAILURE: {name}")
    for name in sorted(EXPECTED - failed):
        print(f"UNEXPECTED PASS: {name}")
    as_expected = failed == EXPECTED and " passed" in run.stdout
    print("as expected" if as_expected else "NOT as expected")
    return 0 if as_expected else 1


def download(version: str, folder: Path) -> Path:
    """Fetch the sdist of the installed version."""
    pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), f"pykka=={version}")
    (sdist,) = folder.glob("pykka-*.tar.gz")
    return sdist


def pip(*arguments: str) -> None:
    """Run pip."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
