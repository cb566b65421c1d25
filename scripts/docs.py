"""Build `site/` and look at what came out: `python scripts/docs.py`.

Every warning of the build is an error (`strict` in mkdocs.yml). Besides: each public name is in the reference, and no page
loads anything from elsewhere.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["alloy_actors", "alloy_actors.local", "alloy_actors.telemetry"]
PACKAGES += ["alloy_actors.testing", "alloy_actors.tools"]
PACKAGES += ["supervisors", "supervisors.testing"]
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("source", "src"), ("iframe", "src")}


def main() -> int:
    """Build, then check; the exit code is that of the first that fails."""
    site = ROOT / "site"
    # Else mkdocs-material prints a notice about its successor, red and at every build.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        return done.returncode
    problems = [f"ERROR: {name} is public and not in the reference" for name in missing(site)]
    problems += [f"ERROR: {page} loads {url}" for page, url in foreign(site)]
    print(*problems, f"{site.relative_to(ROOT)}/index.html is the first page", sep="\n")
    return int(bool(problems))


def missing(site: Path) -> list[str]:
    """The public names that the reference lacks; mkdocstrings hides what has no docstring."""
    body = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    described = {line.split(" ", 1)[0] for line in zlib.decompress(body).decode().splitlines()}
    public = [f"{name}.{each}" for name in PACKAGES for each in importlib.import_module(name).__all__]
    return [name for name in public if name not in described and not name.endswith(".__version__")]


def foreign(site: Path) -> list[tuple[str, str]]:
    """What a page would fetch from another place when somebody reads it."""
    found: list[tuple[str, str]] = []
    for page in sorted(site.rglob("*.html")):
        parser = _Loads()
        parser.feed(page.read_text(encoding="utf-8"))
        found += [(str(page.relative_to(site)), url) for url in parser.urls]
    for sheet in sorted(site.rglob("*.css")):
        urls = re.findall(r"url\(['\"]?((?:https?:)?//[^)'\"]+)", sheet.read_text(encoding="utf-8"))
        found += [(str(sheet.relative_to(site)), url) for url in urls]
    return found


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.urls += [
            value
            for name, value in attrs
            if (tag, name) in LOADED and value and re.match(r"(https?:)?//", value)
        ]


if __name__ == "__main__":
    sys.exit(main())
