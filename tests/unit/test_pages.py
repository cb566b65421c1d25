"""How pages become programs."""

import pytest

from tests.pages import lacks, program

PAGE = """# Title

<!-- run
hidden = 1
-->

```python
shown = hidden + 1
```

1. In a list:

    ```python
    print(shown)
    ```

<!-- prints -->

```text
2
...
3
```

<!-- not run: it needs a key -->
```python
key()
```

```sh
make test
```
"""


def test_blocks_keep_their_lines_so_that_an_error_names_the_place() -> None:
    lines = program(PAGE).source.splitlines()
    assert {number: line for number, line in enumerate(lines, 1) if line} == {
        4: "hidden = 1",
        8: "shown = hidden + 1",
        14: "print(shown)",
    }


def test_a_block_that_is_not_run_is_kept_apart() -> None:
    (kept,) = program(PAGE).compiled
    assert kept.strip() == "key()"
    assert kept.splitlines()[PAGE.splitlines().index("key()")] == "key()"


def test_what_a_page_says_it_prints_must_come_in_order() -> None:
    expected = program(PAGE).printed
    assert expected == [["2"], ["3"]]
    assert lacks("1\n2\n2.5\n3\n", expected) is None
    assert lacks("3\n2\n", expected) == ["3"]
    assert lacks("", []) is None


@pytest.mark.parametrize(
    "page",
    [
        "<!-- not run -->\n```python\nx\n```\n",
        "<!-- not run: no reason for a shell -->\n```sh\nx\n```\n",
        "<!-- prints -->\n\ntext in between\n\n```text\nx\n```\n",
    ],
)
def test_a_mark_that_says_nothing_or_stands_nowhere_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="not run|before no block"):
        program(page)
