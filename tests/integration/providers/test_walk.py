"""A conversation with thinking, images and tools goes from one provider to another and back.

Every order of two, streamed and plain, against a local server that takes no request which the vendor's official SDK
could not have sent. Providers that are not there yet are not walked: `model_strings` knows which are.
"""

import base64
import itertools
import json
import zlib

import pytest

from alloy_actors.content import ImageBlock, TextBlock, ToolResult, user
from alloy_actors.provider import ModelRequest
from alloy_actors.providers import model_strings
from alloy_actors.tooldef import tool
from tests.integration.providers import sdk_requests
from tests.integration.providers.test_transport import whole
from tests.integration.providers.walk_replies import STOPS, Stop

THERE = [stop for stop in STOPS if stop.name in model_strings.names()]
ORDERS = list(itertools.permutations(THERE, 2))


def _png() -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0]))
    pixel = chunk(b"IDAT", zlib.compress(bytes(4)))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + pixel + chunk(b"IEND", b"")).decode()


IMAGE = ImageBlock("image/png", _png())


@tool
async def look(at: int) -> str:
    """Look somewhere."""
    return str(at)


class Leg:
    """One provider's part of the way: its server, what it says, and what it was sent."""

    def __init__(self, stop: Stop, serve, streamed: bool) -> None:
        self.stop = stop
        self.streamed = streamed
        self.refused: list[str] = []
        self.bodies: list[dict] = []
        self.said = 0
        self.mark = base64.b64encode(f"only {stop.name} reads this".encode()).decode()
        server = serve(self.handle)
        key = {} if not model_strings.key_variables(stop.name) else {"api_key": "sk-0123456789"}
        self.provider = model_strings.provider_from(
            f"{stop.name}:m", api_url=server.url, **key, **stop.options
        )

    async def handle(self, request, writer) -> None:
        body = json.loads(request.body)
        self.bodies.append(body)
        try:
            self.stop.check(body)
        except (ValueError, AssertionError) as refusal:
            self.refused.append(f"{refusal}\n{json.dumps(body)[:4000]}")
            writer.write(whole(b'{"error":{"message":"no request of mine"}}', "400 Bad Request"))
            return
        self.said += 1
        said = f"{self.stop.name}-{self.said}"
        asks = self.said % 2 == 1
        reply = self.stop.asks(said, self.mark) if asks else self.stop.answers(said)
        writer.write(whole(json.dumps(reply).encode()))

    async def go(self, history: list) -> None:
        """One request of the user: the model looks twice, then answers."""
        history.append(user(f"What is this, {self.stop.name}?", IMAGE))
        for stop_reason in ("tool_use", "end_turn"):
            request = ModelRequest(tuple(history), (look,), "Be brief.")
            reply = await self.provider.complete(request, (lambda _: None) if self.streamed else None)
            assert reply.stop_reason == stop_reason
            history.append(reply.message)
            if calls := reply.message.tool_calls:
                assert [call.input for call in calls] == [{"at": 0}, {"at": 1}]
                seen = ToolResult(calls[0].id, (TextBlock(f"seen by {self.stop.name}"), IMAGE))
                history.append(user(seen, ToolResult(calls[1].id, "too dark", is_error=True)))


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(
    ("first", "second"), ORDERS, ids=[f"{first.name}-{second.name}" for first, second in ORDERS]
)
def test_a_conversation_goes_there_and_back_without_a_refusal(
    run, serve, first: Stop, second: Stop, streamed: bool
) -> None:
    here, there = Leg(first, serve, streamed), Leg(second, serve, streamed)
    history: list = []

    async def main() -> None:
        for leg in (here, there, here):
            try:
                await leg.go(history)
            finally:
                assert leg.refused == []

    run(main())
    assert (len(here.bodies), len(there.bodies)) == (4, 2)
    for leg, other in ((here, there), (there, here)):
        everything = json.dumps(leg.bodies[-1])
        for said in (
            f"{other.stop.name}-1",
            f"{other.stop.name}-2",
            f"seen by {other.stop.name}",
            "too dark",
        ):
            assert said in everything, said
        assert other.mark not in json.dumps(leg.bodies)
        if leg.stop.marked:
            assert any(leg.mark in text for text in sdk_requests.strings(leg.bodies[-1]))
        # What was said here before the other one spoke goes out in the same bytes again: caches hold.
    before, after = (
        json.dumps(body).partition(f"What is this, {second.name}?")[0] for body in here.bodies[1::2]
    )
    assert after.startswith(before[: before.rindex("too dark")])


def test_the_walk_knows_every_provider() -> None:
    """One that lands is walked from then on; one without replies here is missed."""
    assert set(model_strings.CLASSES) <= {stop.name for stop in THERE}
