"""A server that does not take the request: neither HTTP library has a timeout for writing, so the exchange's own time is it."""

import asyncio

import pytest

from alloy_actors import errors
from alloy_actors.providers._http.session import shared
from alloy_actors.providers.openai_compat import OpenAICompat

LARGE = "x" * (16 * 1024 * 1024)  # more than the buffers of two sockets take


@pytest.mark.parametrize("large", [LARGE[: 512 * 1024], LARGE], ids=["in one piece", "in pieces"])
def test_a_request_that_is_not_read_ends_when_its_time_is_up_and_its_socket_with_it(
    run, ask, large: str
) -> None:
    async def main() -> None:
        asked, released, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()
            asked.set()
            await released.wait()
            writer.transport.resume_reading()
            while await reader.read(1 << 20):
                pass
            writer.close()
            gone.set()

        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            asking = asyncio.create_task(OpenAICompat("m", api_url=url).complete(ask(large)))
            await asked.wait()
            (guard,) = shared().in_flight
            guard.end()  # what its timer does
            with pytest.raises(errors.ProviderTimeoutError):
                await asking
            released.set()
            await gone.wait()  # the end of the connection has come
        finally:
            server.close()

    run(main())
