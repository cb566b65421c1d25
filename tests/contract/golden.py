"""`python -m tests.contract.golden chat` prints the bodies of all shapes, to be checked by hand and kept in tests/data/requests."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.contract.shapes import shapes
from tests.contract.wire import APIS, sent

WIDTH = 110


def shown(value: Any, depth: int = 0) -> str:
    """JSON on one line where it fits."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + 2 * depth <= WIDTH or not isinstance(value, dict | list):
        return line
    pad = "  " * (depth + 1)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(name)}: {shown(item, depth + 1)}" for name, item in value.items()]
    else:
        items = [f"{pad}{shown(item, depth + 1)}" for item in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n" + ",\n".join(items) + f"\n{pad[2:]}{end}"


if __name__ == "__main__":
    api = APIS[sys.argv[1]]
    origin = api.make().origin
    requests = {**shapes(origin), **api.own(origin)}
    bodies = {
        name: json.loads(sent(api, request, **api.options.get(name, {})).content)
        for name, request in requests.items()
    }
    print(shown(bodies))
