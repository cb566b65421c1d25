"""The child of `measure.Side`: one round for every line on standard input, the result as a line of JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

from benchmarks.measure import as_json


def main() -> None:
    """Run `python -m benchmarks.side MODULE FUNCTION URL`."""
    module, function, url = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the side prints or logs must not look like an answer
    side = None
    for _ in sys.stdin:
        try:
            side = side or importlib.import_module(f"benchmarks.{module}")
            line = as_json(getattr(side, function)(url))
        except Exception as error:
            traceback.print_exc()
            line = json.dumps({"error": "".join(traceback.format_exception_only(error)).strip()})
        answers.write(line + "\n")
        answers.flush()
    if side is not None:
        side.close()


if __name__ == "__main__":
    main()
