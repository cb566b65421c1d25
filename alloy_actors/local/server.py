"""The web server of the stand-in: Chat Completions, models, health, and what tests ask for (`/stats`, `/gates`)."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import sys
import traceback
from collections import Counter, defaultdict
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic_core import from_json, to_json

from alloy_actors.local.answering import Answer, send_plain, send_stream
from alloy_actors.local.directives import MODELS, Directives, parse_model
from alloy_actors.local.errors import ApiError, ordered_error
from alloy_actors.local.script import reply_to
from alloy_actors.local.stats import ServerStats
from alloy_actors.local.validation import check_request

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

ABOUT = "This is a scripted stand-in for a model server. No language model answers here: a few rules do.\n"
_SERVER = "alloy-actors-local (scripted stand-in, not a model)"
_MAX_BODY = 256 * 1024 * 1024  # bytes
_SHUTDOWN = 0.25  # seconds that replies get when the server is told to end
_NAMES_KEPT = 10_000  # model names whose `times` are remembered


class StandIn:
    """One server: routes, counters and gates. Everything happens on one event loop.

    Args:
        token: Bearer token every request but `/health` must carry; None for none.
    """

    def __init__(self, token: str | None = None) -> None:
        self._token = token
        self._stats = ServerStats()
        self._askers: set[object] = set()  # sockets that came for /stats and the like
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._faults_shown: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}  # loop time, by the authorization header
        self._serial = itertools.count(1)
        self._answers = itertools.count(1)
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            OSError: The address cannot be had.
        """
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[self._answer_errors, self._check_token])
        app.on_response_prepare.append(self._mark)
        app.router.add_get("/", self._about)
        app.router.add_get("/health", self._health)
        app.router.add_get("/stats", self._report_stats)
        app.router.add_post("/gates/{name}", self._open_gate)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_post("/v1/chat/completions", self._chat)
        # A handler is cancelled when its client goes away: that is how a closed socket shows in the counters.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN, handle_signals=False
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024)
        try:
            await site.start()
        except BaseException:
            await self._runner.cleanup()
            raise
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Close all sockets; replies under way get a quarter of a second."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        stats = self._stats
        stats.requests += 1
        stats.active += 1
        key, now = request.headers.get("authorization", ""), asyncio.get_running_loop().time()
        stats.early += now < self._not_before.get(key, 0.0)
        stats.peak_active = max(stats.peak_active, stats.active)
        stats.peak_connections = max(stats.peak_connections, len(self._sockets()))
        try:
            return await self._answer_chat(request)
        except ApiError as error:
            stats.refused += 1
            self._note_retry_after(key, error)
            raise
        except (asyncio.CancelledError, ConnectionError):
            stats.abandoned += 1
            raise
        finally:
            stats.active -= 1

    def _note_retry_after(self, key: str, error: ApiError) -> None:
        try:
            seconds = float(error.retry_after or 0)
        except ValueError:
            return  # a date, or nonsense: nobody counts by that
        until = asyncio.get_running_loop().time() + seconds
        if len(self._not_before) >= _NAMES_KEPT:
            self._not_before.clear()
        self._not_before[key] = max(until, self._not_before.get(key, 0.0))

    async def _answer_chat(self, request: web.Request) -> web.StreamResponse:
        body = check_request(await _read_json(request))
        model, directives = _look_up(body["model"])
        stream = bool(body.get("stream"))
        self._stats.streams += stream
        due = self._is_due(body, directives)
        gate = self._gates[directives.gate] if due and directives.gate is not None else None
        if gate is not None and not (stream and directives.gate_after):
            await gate.wait()
        if directives.delay:
            await asyncio.sleep(directives.delay)
        if due and directives.status is not None:
            error = ordered_error(directives.status)
            error.retry_after = directives.retry_after
            raise error
        usage = bool(directives.usage)
        if stream:
            usage = usage and bool((body.get("stream_options") or {}).get("include_usage"))
        answer = Answer(
            reply=reply_to(body, model, directives),
            model=model,
            identifier=f"chatcmpl-scripted-{next(self._serial)}",
            directives=directives,
            fault=directives.fault if due else None,
            usage=usage,
            gate=gate,
        )
        return await (send_stream if stream else send_plain)(request, answer)

    def _is_due(self, body: dict[str, Any], directives: Directives) -> bool:
        """Whether this request gets the fault, status or gate of its model's name; counts the times."""
        if directives.after > sum(message["role"] == "assistant" for message in body["messages"]):
            return False
        if directives.times is None:
            return True
        if len(self._faults_shown) >= _NAMES_KEPT:
            self._faults_shown.clear()
        self._faults_shown[body["model"]] += 1
        return self._faults_shown[body["model"]] <= directives.times

    async def _report_stats(self, request: web.Request) -> web.Response:
        """Report the counters; `?active=0&timeout=5` waits until they have these values, 408 if they do not come to."""
        self._askers.add(request.protocol)
        try:
            timeout = float(request.query.get("timeout", 5.0))
            wanted = {name: int(value) for name, value in request.query.items() if name != "timeout"}
        except ValueError:
            raise ApiError("/stats takes numbers.") from None
        for name in wanted:
            if name not in {field.name for field in fields(ServerStats)}:
                raise ApiError(f"There is no counter {name!r}.", param=name)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            sockets = set(self._sockets())
            self._askers &= sockets
            self._stats.connections = len(sockets) - len(self._askers)
            report = asdict(self._stats)
            if all(report[name] == value for name, value in wanted.items()):
                return _json(report)
            if loop.time() >= end:
                return _json(report, status=408)
            await asyncio.sleep(0.002)

    async def _open_gate(self, request: web.Request) -> web.Response:
        self._askers.add(request.protocol)
        self._gates[request.match_info["name"]].set()
        return _json({"opened": request.match_info["name"]})

    async def _list_models(self, _request: web.Request) -> web.Response:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "a-script-not-a-model"}
            for name in MODELS
        ]
        return _json({"object": "list", "data": models})

    async def _health(self, request: web.Request) -> web.Response:
        self._askers.add(request.protocol)
        return _json({"status": "ok", "note": ABOUT.strip()})

    async def _about(self, _request: web.Request) -> web.Response:
        return web.Response(text=ABOUT)

    async def _mark(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["server"] = _SERVER
        response.headers["x-request-id"] = f"req-scripted-{next(self._answers)}"

    def _sockets(self) -> list[web.RequestHandler]:
        if self._runner is None or self._runner.server is None:
            return []
        return self._runner.server.connections

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give every error the API's shape."""
        try:
            response = await handler(request)
        except ApiError as error:
            response = _json(error.body(), status=error.status)
            if error.retry_after is not None:
                response.headers["retry-after"] = error.retry_after
        except web.HTTPException as error:
            wrong = ApiError(f"{error.reason}: {request.method} {request.path}", status=error.status)
            response = _json(wrong.body(), status=error.status)
        except ConnectionError:  # the client went away in the middle of a stream
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)  # `LocalServer` shows it if the server ends
            broken = ApiError(
                "The stand-in itself has a bug; see its stderr.", status=500, type_="server_error"
            )
            response = _json(broken.body(), status=500)
        return response

    @web.middleware
    async def _check_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None and request.path != "/health":
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                raise ApiError(
                    "Incorrect API key provided.",
                    status=401,
                    code="invalid_api_key",
                    type_="authentication_error",
                )
        return await handler(request)


async def _read_json(request: web.Request) -> Any:
    data = await request.read()
    if request.content_type != "application/json":
        raise ApiError(f"Unsupported content type {request.content_type!r}: send application/json.")
    try:
        return from_json(data)
    except ValueError as error:
        raise ApiError(f"We could not parse the JSON body of your request: {error}") from None


def _look_up(name: str) -> tuple[str, Directives]:
    try:
        return parse_model(name)
    except KeyError:
        raise ApiError(
            f"The model {name!r} does not exist; this stand-in has: {', '.join(MODELS)}.",
            status=404,
            param="model",
            code="model_not_found",
        ) from None
    except ValueError as error:
        raise ApiError(f"Invalid model {name!r}: {error}", param="model", code="invalid_value") from None


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=to_json(value), status=status, content_type="application/json")
