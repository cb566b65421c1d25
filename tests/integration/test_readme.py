"""The README's first example is a program that runs, offline, as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def first_example() -> str:
    block = re.search(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None, "the README has lost its example"
    return block[1]


def test_the_first_example_of_the_readme_runs(tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(first_example())
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "22" in done.stdout, done.stdout
    assert done.stderr == ""


def test_the_first_two_commands_are_demo_and_test() -> None:
    commands = re.findall(r"^make \w+", README.read_text(), re.MULTILINE)
    assert commands[:2] == ["make demo", "make test"]
