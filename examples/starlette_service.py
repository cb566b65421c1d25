"""A web service: one agent per user, answers as server-sent events, results to be fetched later.

Run it: python examples/starlette_service.py          two users talk to it over loopback, then it ends
        python examples/starlette_service.py serve    it stays; the curl commands to try are printed

Needs starlette and uvicorn; the client below uses httpx.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
import uuid
from typing import TYPE_CHECKING

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

import alloy_actors as alloy
from alloy_actors.local import LocalServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request


class Service:
    """The application and what it holds.

    Args:
        provider: Answers for all agents.
        users: token -> user name; whoever has no token of these gets 401.
    """

    def __init__(self, provider: alloy.Provider, users: Mapping[str, str]) -> None:
        self._provider = provider
        self._users = users
        self._agents: alloy.AgentSystem | None = None
        self.app = Starlette(
            routes=[
                Route("/chat", self._chat, methods=["POST"]),
                Route("/requests/{id}", self._result),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        # `loop`: async tools run on this loop, so that its connection pools and locks work in them.
        loop = asyncio.get_running_loop()
        async with alloy.AgentSystem(factory=self._options, loop=loop) as self._agents:
            yield

    def _options(self, user: str) -> dict[str, object]:
        return {"provider": self._provider, "system_prompt": f"You help {user}.", "max_pending": 4}

    async def _agent(self, request: Request) -> alloy.AgentRef:
        """The agent of the user who asks; made when there is none."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        for known, user in self._users.items():
            if secrets.compare_digest(known.encode(), token.encode()):
                assert self._agents is not None
                return await asyncio.to_thread(self._agents.agent, user)
        raise HTTPException(401, "send one of the tokens as a bearer token")

    async def _chat(self, request: Request) -> StreamingResponse:
        agent = await self._agent(request)
        text = (await request.body()).decode(errors="replace").strip()
        if not text:
            raise HTTPException(422, "the body is the message; it is empty")
        request_id = uuid.uuid4().hex
        events = agent.astream_chat(text, request_id=request_id)
        try:
            first = await anext(
                events
            )  # before the head of the response goes out: a full queue is a status, too
        except alloy.QueueFullError as error:
            raise HTTPException(429, str(error)) from error
        headers = {"x-request-id": request_id, "cache-control": "no-store"}
        return StreamingResponse(_lines(first, events), media_type="text/event-stream", headers=headers)

    async def _result(self, request: Request) -> JSONResponse:
        """The answer of somebody who has lost the stream: leaving it does not cancel the request."""
        agent = await self._agent(request)
        result = await agent.aresult(request.path_params["id"])
        if result is None:
            raise HTTPException(404, "not finished, or not known to your agent (any more)")
        return JSONResponse({"status": result.status, "text": result.text})


async def _lines(first: alloy.Event, events: AsyncIterator[alloy.Event]) -> AsyncIterator[str]:
    yield _line(first)
    async for event in events:
        yield _line(event)


def _line(event: alloy.Event) -> str:
    match event:
        case alloy.TextDelta():
            data: dict[str, object] = {"text": event.text}
        case alloy.RunFinished():
            data = {"status": event.result.status, "tokens": event.result.usage.total_tokens}
        case _:
            data = {"turn": event.turn}
    return f"event: {event.type}\ndata: {json.dumps(data)}\n\n"


@contextlib.asynccontextmanager
async def serving(app: Starlette, port: int = 0) -> AsyncIterator[str]:
    """Serve on loopback; gives the address. For the world put a proxy before it that does TLS and bounds the bodies."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()  # from now on a client waits instead of being refused
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def ask(url: str, token: str, text: str) -> tuple[str, str]:
    """What a client does: read the stream. Returns the request's id and the answer."""
    headers = {"authorization": f"Bearer {token}"}
    answer = ""
    async with (
        httpx.AsyncClient(headers=headers, timeout=30) as client,
        client.stream("POST", f"{url}/chat", content=text) as response,
    ):
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                answer += json.loads(line.removeprefix("data: ")).get("text", "")
    return response.headers["x-request-id"], answer


async def demonstrate(service: Service, ada: str, grace: str) -> None:
    async with serving(service.app) as url:
        # Two users at once, each with an agent of their own; then one of them again, who is remembered.
        answers = await asyncio.gather(ask(url, ada, "I am Ada."), ask(url, grace, "I am Grace."))
        for (_, answer), user in zip(answers, ("ada", "grace"), strict=True):
            print(f"{user}: {answer}")
        request_id, answer = await ask(url, ada, "Who am I?")
        print(f"ada: {answer}")

        headers = {"authorization": f"Bearer {ada}"}
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            print("later:", (await client.get(f"/requests/{request_id}")).json())
            print("another one's:", (await client.get(f"/requests/{answers[1][0]}")).status_code)
            print("a stranger:", (await client.post("/chat", headers={"authorization": ""})).status_code)


async def serve(service: Service, token: str) -> None:
    async with serving(service.app) as url:
        print(f"curl -N -H 'authorization: Bearer {token}' -d 'Hello' {url}/chat")
        print("Ctrl-C ends it.", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    users = {secrets.token_urlsafe(): name for name in ("ada", "grace")}
    with LocalServer() as server:
        service = Service(alloy.OpenAICompat(model="scripted-fast", api_url=server.url), users)
        try:
            if sys.argv[1:] == ["serve"]:
                asyncio.run(serve(service, next(iter(users))))
            else:
                asyncio.run(demonstrate(service, *users))
        except KeyboardInterrupt:
            pass
    alloy.shutdown()


if __name__ == "__main__":
    main()
