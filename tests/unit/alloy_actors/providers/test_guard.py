import asyncio

import pytest

from alloy_actors.deadline import NEVER, Deadline
from alloy_actors.providers._http.guard import Guard, Timeouts


def guard(first_byte: float = 600, idle: float = 60, deadline: Deadline = NEVER) -> Guard:
    return Guard("host", Timeouts(first_byte=first_byte, idle=idle), deadline)


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: guard(first_byte=0.01), "did not begin to answer within 0.01 s"),
        (lambda: guard(deadline=Deadline.after(0.01)), "time of the request was up"),
        (lambda: guard(first_byte=0.02, idle=0.005), "did not begin"),  # the timer looks early, and waits on
    ],
)
def test_the_block_is_left_without_an_error_when_the_time_is_up(made, says: str) -> None:
    async def main() -> str:
        watch = made()
        with watch:
            await forever()
        assert watch.expired
        assert asyncio.current_task().cancelling() == 0
        return str(watch.timed_out())

    assert says in asyncio.run(main())


def test_a_piece_that_came_moves_the_end_and_its_reason() -> None:
    async def main() -> str:
        watch = guard(first_byte=600, idle=0.01)
        with watch:
            watch.heard()
            await forever()
        return str(watch.timed_out())

    assert "nothing more for 0.01 s" in asyncio.run(main())


def test_the_idle_limit_holds_also_after_a_long_wait_for_the_first_byte() -> None:
    async def main() -> str:
        watch = guard(first_byte=600, idle=0.01)
        with watch:
            await asyncio.sleep(0.03)  # the timer has looked, and found that nothing is wrong
            watch.heard()
            await forever()
        return str(watch.timed_out())

    async def bounded() -> str:
        async with asyncio.timeout(5):
            return await main()

    assert "nothing more" in asyncio.run(bounded())


def test_a_deadline_is_not_moved_by_pieces() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        watch = guard(deadline=Deadline.after(5))
        with watch:
            before = watch.when
            watch.heard()
            assert watch.when == before <= loop.time() + 5

    asyncio.run(main())


def test_work_that_ends_in_time_leaves_nothing_behind() -> None:
    async def main() -> str:
        watch = guard(first_byte=0.01)
        with watch:
            pass
        await asyncio.sleep(0)
        return "value" if not watch.expired else "expired"

    assert asyncio.run(main()) == "value"


def test_a_result_that_is_there_counts_although_the_time_is_up() -> None:
    async def main() -> str:
        watch = guard()
        with watch:
            try:
                watch.end()
                await forever()
            except asyncio.CancelledError:
                pass
            return "value"
        raise AssertionError

    assert asyncio.run(main()) == "value"


def test_a_cancellation_from_elsewhere_at_the_same_time_wins() -> None:
    async def inner(watch: Guard) -> None:
        with watch:
            await forever()

    async def main() -> None:
        watch = guard()
        task = asyncio.create_task(inner(watch))
        await asyncio.sleep(0)
        watch.end()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_it_nests_in_asyncio_timeout_with_the_same_end() -> None:
    async def main() -> None:
        watch = guard()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as outer:
                with watch:
                    watch.end()
                    outer.reschedule(asyncio.get_running_loop().time())
                    await forever()
                await forever()

    asyncio.run(main())


def test_other_errors_pass() -> None:
    async def main() -> None:
        with guard():
            raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(main())
