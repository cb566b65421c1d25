"""Make `.venv`, or bring it up to date: `python scripts/environment.py [--this-python] runtime|dev|docs`.

Standard library only, as it runs before anything is installed. `runtime` is the package and what it and the `alloy` command
need, `dev` and `docs` add the dependency group of that name. What is installed is remembered as a digest of the tables of pyproject.toml that decide
it, so a changed lint rule installs nothing and a changed dependency does.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
LOG_LINES_SHOWN = 15

STEPS = {
    "runtime": ["--editable", ".[cli]"],
    # The dependency group needs pip 25.1, which is newer than the pip that Python 3.11 to 3.13 bring along.
    "pip": ["--upgrade", "pip>=25.1"],
    "dev": ["--group", "dev"],
    "docs": ["--group", "docs"],
}
NEEDED = {"runtime": ["runtime"], "dev": ["runtime", "pip", "dev"], "docs": ["runtime", "pip", "docs"]}


def main() -> int:
    """Do what is missing, say one line about it, and leave pip's own words to the log unless it fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--this-python", action="store_true", help="remake .venv if another Python's version is in it"
    )
    parser.add_argument("what", choices=sorted(NEEDED))
    arguments = parser.parse_args()
    os.chdir(ROOT)
    with PYPROJECT.open("rb") as project:
        fcntl.flock(project, fcntl.LOCK_EX)  # two makes at once: the second finds the work done
        if not is_usable(this_python=arguments.this_python) and not create():
            return 1
        return 0 if install(arguments.what, tomllib.load(project)) else 1


def is_usable(*, this_python: bool) -> bool:
    """Whether `.venv` runs, is new enough and, if that was asked for, has the version of the Python running this."""
    if not VENV_PYTHON.exists():
        return False
    probe = "import sys; print(sys.prefix, *sys.version_info[:2])"
    done = subprocess.run([VENV_PYTHON, "-c", probe], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return False
    prefix, major, minor = done.stdout.rsplit(maxsplit=2)
    version = (int(major), int(minor))
    if Path(prefix).resolve() != VENV.resolve() or version < (3, 11):
        return False
    return not this_python or version == sys.version_info[:2]


def create() -> bool:
    """Make `.venv` anew; where ensurepip is missing (Debian without python3-venv) the host's pip puts pip into it."""
    say(f"Creating .venv with Python {sys.version.split()[0]}")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        return True
    done = subprocess.run([*command, "--without-pip"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        say(
            (done.stdout + done.stderr).strip(),
            f"{sys.executable} could not make a virtual environment, see above.",
        )
        return False
    host_pip = [sys.executable, "-m", "pip", "--python", str(VENV_PYTHON)]
    return run_pip(host_pip, ["pip>=25.1"], "pip into .venv")


def install(what: str, project: dict[str, object]) -> bool:
    """Run the steps that `what` needs and whose digest is not the remembered one."""
    stamp = VENV / "installed.json"
    remembered: dict[str, str] = json.loads(stamp.read_text()) if stamp.exists() else {}
    digests = {step: digest(step, project) for step in STEPS}
    missing = [step for step in NEEDED[what] if remembered.get(step) != digests[step]]
    if missing:
        say(f"Installing into .venv: {', '.join(missing)} (the first time takes about a minute)")
    pip = [str(VENV_PYTHON), "-m", "pip"]
    for step in missing:
        if not run_pip(pip, STEPS[step], step):
            return False
        remembered[step] = digests[step]
        stamp.write_text(json.dumps(remembered, indent=2) + "\n")
    return True


def digest(step: str, project: dict[str, object]) -> str:
    """Changes with whatever decides the outcome of a step, and with the folder, which an editable install names."""
    groups = ["dependency-groups"]
    tables = {"runtime": ["build-system", "project"], "pip": [], "dev": groups, "docs": groups}[step]
    decisive = [str(ROOT), STEPS[step], [project.get(table) for table in tables]]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def run_pip(pip: list[str], arguments: list[str], step: str) -> bool:
    """Install; pip's output goes to the log, and its last lines to the terminal when it fails."""
    command = [*pip, "install", "--no-input", "--disable-pip-version-check", *arguments]
    with LOG.open("a") as log:
        print("$", *command, file=log, flush=True)
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if code != 0:
        say(*LOG.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        say(
            f"Installing failed at '{step}': pip's last lines are above, all of them are in {LOG.relative_to(ROOT)}."
        )
    return code == 0


def say(*lines: str) -> None:
    """Print at once: what follows may take a minute."""
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
