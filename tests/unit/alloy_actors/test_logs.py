"""What is logged harms nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import structlog

from alloy_actors.logs import log, traced


@pytest.fixture(autouse=True)
def _structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Ascii(io.TextIOWrapper):
    """A terminal of old."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="ascii", errors="strict", write_through=True)


def test_a_record_that_its_stream_will_not_take_is_said_shorter_and_raises_nothing() -> None:
    stream = Ascii()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(stream), processors=[str_of])
    log.error("tool_crashed", exception="ein Unglück")
    assert stream.bytes.getvalue() == b"tool_crashed not_said='UnicodeEncodeError'\n"


def str_of(_logger: object, _method: str, facts: dict[str, object]) -> str:
    event = facts.pop("event")
    return " ".join((str(event), *(f"{name}={value!r}" for name, value in facts.items())))


def test_a_processor_that_raises_raises_nothing_here() -> None:
    def broken(*_: object) -> str:
        raise ValueError("a bug of the user's")

    structlog.configure(processors=[broken])
    log.error("tool_crashed")


def test_half_a_character_in_a_traceback_is_written_out() -> None:
    traced(ValueError("no such file: \udcff.txt"))["exception"].encode()
    assert "\\udcff.txt" in traced(ValueError("no such file: \udcff.txt"))["exception"]
