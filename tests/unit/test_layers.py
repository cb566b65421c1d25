"""What import-linter (`make layers`) and ruff cannot see: pykka's private names outside `supervisors/runtime`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pykka
import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "supervisors" / "runtime"
# Ordinary words that a class of ours may use for its own; on objects of others ruff's SLF001 refuses them.
ORDINARY = {"_actor", "_condition", "_result", "_stop"}


def our_files() -> list[Path]:
    return sorted(
        path for package in ("supervisors", "alloy_actors") for path in (ROOT / package).rglob("*.py")
    )


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names_of_pykka() -> set[str]:
    """Every private function, class and attribute that pykka's own source defines."""
    names: set[str] = set()
    for path in Path(pykka.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    names.add(name)
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                    names.add(name)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    names.add(name)
    return {name for name in names if is_private(name)} - ORDINARY


def uses_of_private_names(source: str, private: set[str]) -> Iterator[str]:
    """Each import, attribute or string in the source that reaches behind pykka's public face."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                modules = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                modules = [f"{module}.{alias.name}" for alias in aliases]
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)) | ast.FunctionDef(name=name):
                modules = []
                if name in private:
                    yield f"line {node.lineno}: {name}"
            case _:
                continue
        for module in modules:
            first, *rest = module.split(".")
            if first == "pykka" and any(is_private(part) for part in rest):
                yield f"line {node.lineno}: {module}"


def test_pykkas_private_names_are_used_in_the_runtime_only() -> None:
    private = private_names_of_pykka()
    found = {
        str(path.relative_to(ROOT)): uses
        for path in our_files()
        if not path.is_relative_to(RUNTIME)
        and (uses := list(uses_of_private_names(path.read_text(), private)))
    }
    assert not found, f"move these into supervisors/runtime: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "from pykka._future import Future",
        "import pykka._registry",
        "from pykka import _types",
        "pykka.ActorRegistry._actor_refs.clear()",
        "getattr(ref, '_actor_weakref')",
        "class Mine(pykka.Actor):\n    def _handle_receive(self, message): ...",
    ],
)
def test_every_way_to_a_private_name_is_noticed(line: str) -> None:
    assert list(uses_of_private_names(line, private_names_of_pykka()))


@pytest.mark.parametrize(
    "line", ["from pykka import ActorRef", "import pykka.typing", "self._stop()", "import _thread"]
)
def test_public_names_and_our_own_are_no_offence(line: str) -> None:
    assert not list(uses_of_private_names(line, private_names_of_pykka()))
