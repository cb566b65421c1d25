import pytest

from supervisors import CircuitBreaker, CircuitOpen, Exit, Shutdown, TaskExited, TaskSupervisor


def test_S_267_five_failures_open_it_one_probe_decides(clock) -> None:
    breaker = CircuitBreaker(max_failures=5, reset_timeout=60, clock=clock)
    calls = []

    def service(outcome):
        calls.append(outcome)
        if outcome != "ok":
            raise ConnectionError(outcome)
        return outcome

    for _ in range(5):
        with pytest.raises(ConnectionError):
            breaker.call(service, "down")
    assert breaker.state == "open"
    clock.advance(20)
    with pytest.raises(CircuitOpen) as caught:
        breaker.call(service, "not called")
    assert caught.value.retry_in == 40
    assert calls == ["down"] * 5

    clock.advance(40)
    with pytest.raises(ConnectionError):  # the probe, which fails
        breaker.call(service, "probe")
    clock.advance(60)
    with pytest.raises(CircuitOpen) as caught:  # twice as long now
        breaker.call(service, "not called")
    assert caught.value.retry_in == 60

    clock.advance(60)
    with breaker:  # the next probe
        assert breaker.state == "half_open"
        with pytest.raises(CircuitOpen):
            breaker.call(service, "not called")
    assert breaker.state == "closed"
    assert breaker.call(service, "ok") == "ok"
    assert calls == ["down"] * 5 + ["probe", "ok"]


def test_a_task_that_ends_itself_says_nothing_of_the_service(clock) -> None:
    breaker = CircuitBreaker(max_failures=1, clock=clock)

    def leave():
        raise Exit(Shutdown("enough"))

    with TaskSupervisor.start() as tasks:
        with pytest.raises(TaskExited) as caught:
            tasks.submit(breaker.call, leave).result(10)
        assert caught.value.reason == Shutdown("enough")
    assert breaker.state == "closed"
