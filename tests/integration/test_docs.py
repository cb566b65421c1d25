"""The code of the pages and of the README runs as it stands there, and the pages hold together; see tests/pages.py."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import lacks, pages, program

ROOT = Path(__file__).parents[2]
PAGES = pages(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    code = program(page.read_text(encoding="utf-8"))
    for source in code.compiled:
        compile(source, str(page), "exec")
    script = tmp_path / f"{page.stem}_page.py"
    script.write_text(code.source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    missing = lacks(done.stdout, code.printed)
    assert missing is None, f"{missing} is not in:\n{done.stdout}"


def test_the_alloy_commands_of_the_readme_and_the_quickstart_run(tmp_path: Path) -> None:
    quickstart = (ROOT / "docs" / "quickstart.md").read_text()
    (tool,) = program(quickstart).compiled[:1]
    (tmp_path / "mine.py").write_text(tool)
    (tmp_path / "README.md").write_text("# Title\n")
    text = (ROOT / "README.md").read_text() + quickstart
    commands = re.findall(r"^\.venv/bin/alloy (.*)", text, re.MULTILINE)
    assert len(commands) >= 5
    printed = ""
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "alloy_actors", *shlex.split(command, comments=True)],
            cwd=tmp_path,
            env=os.environ | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
            input='read(file_path="README.md", limit=3)\nPlease call add(a=1, b=2)\n',
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        printed += done.stdout
    assert "# Title" in printed
    assert "add(a=1, b=2) said: 3" in printed
    assert "add(a=19, b=23) said: 42" in printed


def test_the_first_two_commands_of_the_readme_are_demo_and_test() -> None:
    commands = re.findall(r"^make \w+", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands[:2] == ["make demo", "make test"]


def test_the_links_of_the_readme_lead_somewhere() -> None:
    """Those of the pages are checked by the build of the docs."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text())
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_a_page_that_would_fetch_something_is_noticed(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("docs_script", ROOT / "scripts" / "docs.py")
    docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docs)
    (tmp_path / "page.html").write_text(
        '<script src="https://cdn.example/x.js"></script><img src="//img.example/x.png">'
        '<link href="assets/x.css"><a href="https://example.org">a link is no fetch</a>'
    )
    (tmp_path / "x.css").write_text("@font-face { src: url('https://fonts.example/x.woff') }")
    assert docs.foreign(tmp_path) == [
        ("page.html", "https://cdn.example/x.js"),
        ("page.html", "//img.example/x.png"),
        ("x.css", "https://fonts.example/x.woff"),
    ]
