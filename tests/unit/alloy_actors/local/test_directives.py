import pytest

from alloy_actors.local.directives import FAULTS, MODELS, Directives, parse_model, scripted_model


def test_a_plain_name_has_the_directives_of_its_model() -> None:
    assert parse_model("scripted-fast") == ("scripted-fast", Directives())
    assert parse_model("scripted-demo")[1].pause > 0
    assert parse_model("scripted-thinking")[1].reasoning


def test_directives_survive_the_way_through_a_name() -> None:
    name = scripted_model(
        "scripted-demo", delay=0.02, deltas=2000, text="a b&c=ü?", fault="cut", retry_after="soon"
    )
    base, directives = parse_model(name)
    assert base == "scripted-demo"
    assert directives == Directives(
        delay=0.02, pause=0.02, deltas=2000, text="a b&c=ü?", fault="cut", retry_after="soon"
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_can_be_ordered(fault: str) -> None:
    assert parse_model(scripted_model(fault=fault))[1].fault == fault


@pytest.mark.parametrize(
    ("directives", "complaint"),
    [
        ({"dealy": 1}, "unknown directive 'dealy'; there are: delay"),
        ({"delay": "soon"}, "'delay' takes a number"),
        ({"delay": -1}, "at least 0"),
        ({"delay": "inf"}, "at least 0"),
        ({"delay": "nan"}, "at least 0"),
        ({"calls": 1.5}, "'calls' takes a number"),
        ({"per_write": 0}, "at least 1"),
        ({"status": 200}, "HTTP error status"),
        ({"fault": "crash"}, "unknown fault 'crash'; there are: hang"),
    ],
)
def test_a_wrong_directive_is_refused_where_it_is_written(
    directives: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        scripted_model("scripted-fast", **directives)


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="no scripted model 'gpt-5'; there are: scripted-demo"):
        scripted_model("gpt-5")


def test_no_model_name_could_pass_for_a_real_model() -> None:
    assert all(name.startswith("scripted-") for name in MODELS)
