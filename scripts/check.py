"""Run the project's checks in order and stop at the first that fails: `python scripts/check.py [step ...]`.

The output of a step is passed on as it comes; the last line says what the outcome was and, after a failure, why.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Step:
    """One tool: the arguments for this Python, the line of its output that says the reason, and what to do about it."""

    tool: str
    arguments: tuple[str, ...]
    reason: str
    advice: str = ""


# Run without its cache, which remembers what an import meant while the imported module was missing.
LINT_IMPORTS = (
    "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
)
STEPS = {
    "lint": Step("ruff check", ("-m", "ruff", "check", "."), r"^Found \d+ error"),
    "format": Step(
        "ruff format", ("-m", "ruff", "format", "--check", "."), r"would be reformatted", "run `make format`"
    ),
    "types": Step("mypy", ("-m", "mypy"), r"^Found \d+ error|error: "),
    "layers": Step("import-linter", ("-c", LINT_IMPORTS, "--no-logo", "--no-cache"), r"^Contracts: "),
    "tests": Step("pytest", ("-m", "pytest"), r"^=.* in [\d.]+s"),
    "conformance": Step("pytest", ("-m", "pytest", "-q", "-p", "tests.conformance.summary"), r"^\d+ cases: "),
    "docs": Step("mkdocs", ("scripts/docs.py",), r"^(ERROR|WARNING|Aborted)"),
    "unit": Step("pytest tests/unit", ("-m", "pytest", "tests/unit"), r"^=.* in [\d.]+s"),
}
ALL = ("lint", "format", "types", "layers", "docs", "tests")


def main() -> int:
    """Run the named steps, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "steps", nargs="*", metavar="step", help=f"any of {', '.join(STEPS)}; none means {', '.join(ALL)}"
    )
    steps: list[str] = parser.parse_args().steps
    if unknown := [name for name in steps if name not in STEPS]:
        parser.error(f"unknown step {', '.join(unknown)}; there are {', '.join(STEPS)}")
    what = "make test" if not steps else f"make {steps[0]}"
    names = steps or list(ALL)
    took: list[str] = []
    for position, name in enumerate(names):
        step = STEPS[name]
        print(f"\n==> {name}: {step.tool}", flush=True)
        started = time.monotonic()
        code, output = run(step)
        took.append(f"{name} {time.monotonic() - started:.1f} s")
        print(f"    {took[-1]}", flush=True)
        if code != 0:
            not_run = names[position + 1 :]
            print(
                f"\n{what}: FAILED at {name} ({step.tool}): {reason(step, code, output)}; see above", end=""
            )
            print(f" (not run: {', '.join(not_run)})" if not_run else "", flush=True)
            return code if code > 0 else 128 - code
    print(f"\n{what}: passed ({', '.join(took)})", flush=True)
    return 0


def run(step: Step) -> tuple[int, list[str]]:
    """Run one step, pass its output on line by line, and keep it: the exit code (minus the signal if one ended it) and the lines."""
    environment = dict(os.environ)
    if sys.stdout.isatty():
        environment.setdefault("FORCE_COLOR", "1")  # a pipe hides the terminal from the tools
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, *step.arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        while True:
            try:
                for line in process.stdout:
                    print(line, end="", flush=True)
                    lines.append(COLOURS.sub("", line).strip())
                return process.wait(), lines
            except KeyboardInterrupt:
                continue  # the tool got the same Ctrl-C: let it have its last words


def reason(step: Step, code: int, output: list[str]) -> str:
    """The tool's own summary, else its last words."""
    said = [line for line in output if line]
    found = [line for line in said if re.search(step.reason, line)]
    words = (found[-1] if found else " ".join(said[-2:]) or f"exit code {code}").strip("=. ")
    return f"{words}; {step.advice}" if step.advice else words


if __name__ == "__main__":
    sys.exit(main())
