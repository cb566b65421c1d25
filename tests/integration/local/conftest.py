import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from alloy_actors.local import LocalServer, scripted_model


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_stays_open(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").wait_stats(active=0, connections=0)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def chunks(self) -> list[Any]:
        """Return the chunks of a stream; the line [DONE] is the word "DONE"."""
        lines = [line for line in self.body.decode().split("\n\n") if line]
        assert all(line.startswith("data: ") for line in lines)
        return ["DONE" if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


class Client:
    """A bare client: what arrives is what the server sent."""

    def __init__(self, server: LocalServer) -> None:
        parts = urlsplit(server.url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        return Reply(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )

    def post(self, body: Any, **headers: str) -> Reply:
        headers = {"content-type": "application/json"} | headers
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", "/v1/chat/completions", data, **headers)

    def ask(
        self, question: str = "Hello.", /, *, stream: bool = False, options: Any = None, **directives: object
    ) -> Reply:
        model = scripted_model("scripted-fast", **directives)
        return self.post(chat_request(model, question, stream=stream, **(options or {})))

    def begin(self, *, stream: bool = False, **directives: object) -> None:
        """Send a question and do not wait for the answer."""
        body = chat_request(scripted_model("scripted-fast", **directives), stream=stream)
        headers = {"content-type": "application/json"}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)


def chat_request(model: str, text: str = "Hello.", *, stream: bool = False, **options: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **options}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    made = Client(server)
    yield made
    made.connection.close()
