"""`__all__` is what users may rely on, so it is what must exist and be described."""

import enum
import importlib
import importlib.resources
import importlib.util
import inspect
import sys
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


def methods(cls: type) -> Iterator[tuple[str, types.FunctionType]]:
    """The public methods and properties of a class that are ours."""
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if not name.startswith("_") and inspect.isfunction(function) and is_ours(function):
            yield name, function


def protocols() -> list[type]:
    """Every protocol of ours that has been imported."""
    modules = [module for name, module in list(sys.modules.items()) if name.split(".")[0] in OURS]
    values = [value for module in modules for value in vars(module).values()]
    return [
        value
        for value in values
        if isinstance(value, type) and getattr(value, "_is_protocol", False) and is_ours(value)
    ]


def undescribed_methods(cls: type) -> Iterator[str]:
    """Methods without a docstring of their own, of a base class, or of the protocol that the class fills."""
    filled = [
        protocol for protocol in protocols() if all(hasattr(cls, name) for name, _ in methods(protocol))
    ]
    for name, function in methods(cls):
        described = [function, getattr(cls, name), *(getattr(protocol, name, None) for protocol in filled)]
        if not any(
            inspect.getdoc(value) for value in described if callable(value) or isinstance(value, property)
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
        f"{module}.{name}": names
        for module, name in exported()
        if isinstance(value := getattr(importlib.import_module(module), name), type)
        and is_ours(value)
        and (names := list(undescribed_methods(value)))
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
