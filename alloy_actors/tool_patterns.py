"""Regular expressions of a JSON schema, matched in a time that grows with the text and not with its powers.

The text comes from a model, and Python's `re` holds the whole process while it tries: `^(a+)+$` and forty letters take
it hours. pydantic's engine does not try again. It knows no look-around and no references back; patterns with those are
left to `re`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jsonschema.exceptions import ValidationError as Misfit
from jsonschema.validators import extend
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

if TYPE_CHECKING:
    from collections.abc import Iterator


@functools.cache
def with_linear_patterns(cls: Any) -> Any:
    """A class of validators like this one, whose `pattern` takes no exponential time where that can be had."""
    by_re = cls.VALIDATORS["pattern"]

    def pattern(validator: Any, wanted: str, instance: object, schema: Any) -> Iterator[Misfit]:
        engine = _engine(wanted) if isinstance(instance, str) else None
        if engine is None:
            yield from by_re(validator, wanted, instance, schema) or ()
            return
        try:
            engine.validate_python(instance)
        except ValidationError:
            yield Misfit(f"it does not match {wanted!r}")

    return extend(cls, {"pattern": pattern})  # type: ignore[no-untyped-call]  # jsonschema has no types here


@functools.lru_cache(maxsize=256)
def _engine(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None
