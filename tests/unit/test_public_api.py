"""`__all__` is what users may rely on, so it is what must exist and be described."""

import enum
import importlib
import importlib.resources
import importlib.util
import inspect
import types
from collections.abc import Iterator

import pytest

PUBLIC = [
    "supervisors",
    "supervisors.testing",
    "alloy_actors",
    "alloy_actors.local",
    "alloy_actors.testing",
    "alloy_actors.tools",
]
OURS = ("supervisors", "alloy_actors")


def exported() -> Iterator[tuple[str, str]]:
    for module in PUBLIC:
        for name in importlib.import_module(module).__all__:
            yield module, name


def is_ours(value: object) -> bool:
    return getattr(value, "__module__", "").split(".")[0] in OURS


def has_own_docstring(value: type | types.FunctionType) -> bool:
    """Whether somebody wrote it: dataclasses and enums make one up."""
    doc = inspect.getdoc(value) if not isinstance(value, type) else value.__dict__.get("__doc__")
    return bool(doc) and not doc.startswith(f"{value.__name__}(") and doc != enum.Enum.__doc__


def undescribed_methods(cls: type) -> Iterator[str]:
    """Public methods and properties without a docstring of their own or of the protocol they fill."""
    for name in dir(cls):
        if name.startswith("_"):
            continue
        value = inspect.getattr_static(cls, name)
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        is_method = inspect.isfunction(value) or isinstance(value, property)
        function = value.fget if isinstance(value, property) else value
        if (
            is_method
            and is_ours(function)
            and not inspect.getdoc(getattr(cls, name))
            and not inspect.getdoc(value)
        ):
            yield name


@pytest.mark.parametrize("module", PUBLIC)
def test_every_exported_name_exists_once(module: str) -> None:
    names = importlib.import_module(module).__all__  # ruff keeps its order (RUF022)
    assert len(names) == len(set(names))
    missing = [name for name in names if not hasattr(importlib.import_module(module), name)]
    assert not missing


def test_every_exported_class_and_function_has_a_docstring() -> None:
    undescribed = []
    for module, name in exported():
        value = getattr(importlib.import_module(module), name)
        if isinstance(value, type | types.FunctionType) and is_ours(value) and not has_own_docstring(value):
            undescribed.append(f"{module}.{name}")
    assert not undescribed


def test_every_public_method_of_an_exported_class_has_a_docstring() -> None:
    undescribed = {
        f"{module}.{name}": methods
        for module, name in exported()
        if isinstance(value := getattr(importlib.import_module(module), name), type)
        and is_ours(value)
        and (methods := list(undescribed_methods(value)))
    }
    assert not undescribed


def test_no_inner_module_shadows_a_public_name() -> None:
    """`import alloy_actors.x` later must not turn the function `alloy.x` into a module."""
    for package in OURS:
        root = importlib.import_module(package)
        shadowed = [
            name for name in root.__all__ if importlib.util.find_spec(f"{package}.{name}") is not None
        ]
        assert not shadowed


@pytest.mark.parametrize("package", OURS)
def test_both_packages_ship_their_types(package: str) -> None:
    assert importlib.resources.files(package).joinpath("py.typed").is_file()
