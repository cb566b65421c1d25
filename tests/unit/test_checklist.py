"""The reference system's checklist (its description, section 15) and the tests that carry its numbers agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
LINES = set(range(1, 97))
NOT_OURS = {
    15: "options of providers that an older version had: there is no older version",
    17: "a shorthand option for the memory tool: it is a tool like the others here",
    84: "a provider that drives another program's command line",
}


def numbers_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    """In its name (`test_t48_...`) or its docstring ("T48, T49: ...")."""
    words = f"{' '.join(test.name.split('_')).upper()} {ast.get_docstring(test) or ''}"
    return {int(number) for number in re.findall(r"\bT(\d+)\b", words)}


def test_every_line_of_the_checklist_has_a_test_that_carries_its_number() -> None:
    carried: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                carried |= numbers_of(node)
    assert LINES - carried == NOT_OURS.keys()
    assert carried <= LINES
