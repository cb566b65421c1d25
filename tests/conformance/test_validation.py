import math

import pytest

from supervisors import Backoff, DynamicSupervisor, InvalidChildSpec, InvalidOption, Supervisor

BAD_FLAGS = [
    ("strategy", "none_for_one"),
    ("max_restarts", -1),
    ("max_restarts", True),
    ("max_restarts", math.inf),
    ("max_seconds", 0),
    ("max_seconds", math.inf),
    ("max_seconds", math.nan),
    ("auto_shutdown", "sometimes"),
    ("on_exceeded", "ignore"),
    ("park_time", 0),
    ("max_zombies", -1),
    ("backoff", 3),
]


@pytest.mark.parametrize(("field", "value"), BAD_FLAGS)
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_S_030_a_flag_out_of_range_is_refused_with_field_and_value(kind, field, value) -> None:
    with pytest.raises(InvalidOption) as caught:
        kind.start(**{field: value})
    assert caught.value.field == field
    assert caught.value.value is value
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [("strategy", "none_for_one", "one_for_all"), ("auto_shutdown", "sometimes", "any_significant")],
)
def test_a_value_that_is_unknown_names_those_that_are_known(field, value, valid) -> None:
    with pytest.raises(InvalidOption, match=f"one of.*{valid}"):
        Supervisor.start(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strategy", "one_for_all"),
        ("strategy", "rest_for_one"),
        ("auto_shutdown", "any_significant"),
        ("auto_shutdown", "all_significant"),
        ("max_children", -1),
        ("max_children", 1.5),
        ("extra_args", 3),
    ],
)
def test_S_031_S_127_a_dynamic_supervisor_refuses_its_own_flags_out_of_range(field, value) -> None:
    with pytest.raises(InvalidOption) as caught:
        DynamicSupervisor.start(**{field: value})
    assert caught.value.field == field


def test_flags_may_be_class_attributes(start) -> None:
    class Strict(Supervisor):
        max_restarts = -5

    with pytest.raises(InvalidOption):
        Strict.start()


def test_S_032_S_017_what_is_no_spec_is_refused_at_start_and_at_start_child(
    start, start_dynamic, spec
) -> None:
    with pytest.raises(TypeError):
        Supervisor.start([spec("a"), "text"])
    for sup in (start([]), start_dynamic()):
        with pytest.raises(TypeError):
            sup.start_child("text")
        with pytest.raises(InvalidChildSpec):
            sup.start_child(spec("a", restart="prmanent"))
        assert sup.which_children() == []


def test_S_035_S_037_significance_needs_automatic_shutdown(start, start_dynamic, spec) -> None:
    significant = spec("a", restart="transient", significant=True)
    with pytest.raises(InvalidChildSpec, match="significant"):
        Supervisor.start([significant])
    for sup in (start([]), start_dynamic()):
        with pytest.raises(InvalidChildSpec, match="significant"):
            sup.start_child(significant)
    for mode in ("any_significant", "all_significant"):
        sup = start([significant], auto_shutdown=mode)
        with pytest.raises(InvalidChildSpec, match="significant"):
            sup.start_child(spec("b", significant=True))  # permanent
        assert sup.start_child(spec("b", restart="temporary", significant=True)).is_alive()


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_child_that_others_depend_on_cannot_be_parked(start, spec, strategy) -> None:
    with pytest.raises(InvalidOption, match="on_exceeded"):
        Supervisor.start(strategy=strategy, on_exceeded="park")
    with pytest.raises(InvalidChildSpec, match="on_exceeded"):
        Supervisor.start([spec("a", on_exceeded="park")], strategy=strategy)
    with pytest.raises(InvalidChildSpec, match="on_exceeded"):
        start([], strategy=strategy).start_child(spec("a", on_exceeded="park"))


def test_S_036_an_unknown_option_is_a_type_error() -> None:
    for kind in (Supervisor, DynamicSupervisor):
        with pytest.raises(TypeError, match="max_restart"):
            kind.start(max_restart=3)
    with pytest.raises(TypeError, match="max_children"):
        Supervisor.start(max_children=3)


@pytest.mark.parametrize("shutdown", [0, 0.001])
def test_S_038_children_with_hardly_any_time_start_and_end(start, start_dynamic, spec, shutdown) -> None:
    sup = start([spec("a", shutdown=shutdown)])
    assert sup.terminate_child("a") is not None
    dynamic = start_dynamic()
    assert dynamic.terminate_child(dynamic.start_child(spec("a", shutdown=shutdown))) is not None


def test_a_backoff_that_outlasts_the_window_is_accepted_with_a_warning(start, spec, capsys) -> None:
    start([spec("a", backoff=Backoff(initial=10))], max_restarts=3, max_seconds=5)
    assert "restart_limit_out_of_reach" in capsys.readouterr().out
