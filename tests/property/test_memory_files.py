"""Files in memory and in a directory do the same, whatever is asked of them."""

from __future__ import annotations

import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_actors.errors import ToolError
from alloy_actors.tools import DirectoryFiles, InMemoryFiles, MemoryFiles

NAMES = st.lists(st.sampled_from(["a", "b", "a.md"]), min_size=1, max_size=3).map(
    lambda parts: "/".join(("/memories", *parts))
)
PATHS = st.one_of(NAMES, st.just("/memories"))
TEXTS = st.sampled_from(["", "one", "one\ntwo\n", "one\none", "x\r\ny\x0bz\n"])
CALLS = st.one_of(
    st.tuples(st.just("view"), PATHS),
    st.tuples(st.just("create"), NAMES, TEXTS),
    st.tuples(st.just("str_replace"), PATHS, st.sampled_from(["one", "two", "", "x"]), TEXTS),
    st.tuples(st.just("insert"), PATHS, st.integers(-1, 3), TEXTS),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
)


def outcome(files: MemoryFiles, name: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return getattr(files, name)(*arguments)
    except ToolError:
        return ToolError


@settings(max_examples=150, deadline=None)
@given(calls=st.lists(CALLS, max_size=25))
def test_both_kinds_of_files_answer_alike(calls: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        kept, written = InMemoryFiles(), DirectoryFiles(directory)
        for name, *arguments in calls:
            assert outcome(kept, name, tuple(arguments)) == outcome(written, name, tuple(arguments)), (
                name,
                arguments,
            )
        assert kept.view("/memories") == written.view("/memories")
