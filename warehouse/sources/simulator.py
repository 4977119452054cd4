"""What would FRED and Tushare answer right now? Both vendors on loopback, with a virtual clock and planned faults.

Speaks `fredgraph.csv` as FRED does and `/dataapi/<api_name>` and `/` as Tushare does, connections that break included.
`/_control/` moves the clock and plans faults from other processes. Invariant: nothing after *now* is in a reply.
Partners: `simulator_wire.py` (the bytes), `faults.py` (the trouble), `truth.py` (what there is to know).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from warehouse.sources import faults as fault_plans
from warehouse.sources import simulator_fred
from warehouse.sources import simulator_trouble as trouble
from warehouse.sources import simulator_wire as wire
from warehouse.sources.faults import Fault, FaultPlan
from warehouse.sources.truth import MarketTruth

# Most releases of the statistical agencies are at 08:30 Eastern; FRED counts its days in Central time.
FRED_RELEASES_AT = time_of_day(7, 30)
REFUSALS = {"bad_token": wire.BAD_TOKEN, "no_permission": wire.NO_PERMISSION, "rate_limit": wire.RATE_LIMIT}
START_WITHIN_S = 20.0


class SimulatedClock:
    """The vendors' *now*; safe to move while requests run.

    Args:
        start: where it stands first, with a time zone.
    """

    def __init__(self, start: datetime) -> None:
        self._lock = threading.Lock()
        self.set(start)

    def now(self) -> datetime:
        """The instant, in UTC."""
        with self._lock:
            return self._now

    def set(self, instant: datetime) -> None:
        """Move the clock, forwards or back.

        Raises:
            ValueError: the instant has no time zone.
        """
        if instant.tzinfo is None:
            raise ValueError(f"{instant} has no time zone. Give one, for example 2026-11-20T10:00:00+00:00.")
        with self._lock:
            self._now = instant.astimezone(UTC)


@dataclass(frozen=True)
class RunningSimulator:
    """A simulator that answers on `url`; `fred_url` and `tushare_url` are what the two clients are pointed at."""

    url: str
    clock: SimulatedClock
    faults: FaultPlan
    truth: MarketTruth

    @property
    def fred_url(self) -> str:
        """Base address for the FRED client."""
        return self.url

    @property
    def fred_api_url(self) -> str:
        """Base address for the client of FRED's API."""
        return f"{self.url}/fred"

    @property
    def tushare_url(self) -> str:
        """Base address for the Tushare client; the api name follows it."""
        return f"{self.url}/dataapi"

    @property
    def clock_url(self) -> str:
        """Where the clock can be read (GET) and set (POST)."""
        return f"{self.url}/_control/clock"


def create_app(
    truth: MarketTruth,
    clock: SimulatedClock,
    faults: FaultPlan,
    *,
    token: str | None = None,
    fred_key: str | None = None,
) -> Starlette:
    """Both vendors as one ASGI application.

    Args:
        truth: what they know.
        clock: what time it is for them.
        faults: how they misbehave.
        token: the only Tushare token accepted; None accepts any.
        fred_key: the only key of FRED's API accepted; None accepts any that looks like one.
    """
    tushare = _Tushare(truth, clock, faults, token)
    fred = _Fred(truth, clock, faults)
    fred_api = _FredApi(truth, clock, faults, fred_key)
    control = _Control(truth, clock, faults)
    return Starlette(
        routes=[
            Route("/graph/fredgraph.csv", fred.answer),
            Route("/fred/{endpoint:path}", fred_api.answer),
            Route("/dataapi/{api_name}", tushare.answer, methods=["POST"]),
            Route("/", tushare.answer, methods=["POST"]),
            Route("/_control/clock", control.answer_clock, methods=["GET", "POST"]),
            Route("/_control/faults", control.answer_faults, methods=["GET", "POST", "DELETE"]),
            Route("/_control/truth", control.answer_truth),
        ]
    )


@contextlib.contextmanager
def running(
    truth: MarketTruth,
    *,
    clock: SimulatedClock,
    faults: FaultPlan | None = None,
    token: str | None = None,
    fred_key: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[RunningSimulator]:
    """A simulator that answers in a thread until the block ends.

    Args:
        truth: what the vendors know.
        clock: what time it is for them.
        faults: how they misbehave; none at first by default.
        token: the only Tushare token accepted; None accepts any.
        fred_key: the only key of FRED's API accepted; None accepts any that looks like one.
        host: address to listen on.
        port: 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    plan = FaultPlan() if faults is None else faults
    config = uvicorn.Config(
        create_app(truth, clock, plan, token=token, fred_key=fred_key),
        http=_OpenProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
    )
    # A broken connection that was planned is no news: uvicorn would log a traceback for each.
    config.log_level = "critical"
    server = uvicorn.Server(config)
    listening = socket.create_server((host, port))
    thread = threading.Thread(target=server.run, args=([listening],), name="simulator", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield RunningSimulator(f"http://{host}:{listening.getsockname()[1]}", clock, plan, truth)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("The simulator did not start. Look at the lines above for the reason, and try again.")
        time.sleep(0.005)


class _OpenProtocol(H11Protocol):
    """HTTP/1.1 that shows the application its connection, so that a planned fault can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the connection where the application finds it."""
        # asyncio leaves this out for a listener made without a protocol number (CPython 3.11), and then every answer
        # of a head and a body waits 40 ms for the client's delayed acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}
        # FRED takes its key in the address, and a log of addresses would keep it.
        self.access_log = False
        super().connection_made(transport)


class _Tushare:
    def __init__(self, truth: MarketTruth, clock: SimulatedClock, faults: FaultPlan, token: str | None) -> None:
        self._wire = wire.TushareWire(truth)
        self._truth, self._clock, self._faults, self._token = truth, clock, faults, token

    async def answer(self, request: Request) -> Response:
        """One question to an endpoint of Tushare."""
        try:
            question, token = wire.question_from_json(await request.body(), request.path_params.get("api_name"))
        except wire.Refused as exc:
            return _json(wire.encode_refusal(None, exc))
        hits = self._faults.match(question.api_name, question.partition)
        early = await trouble.early_answer(hits)
        if early is not None:
            return early
        refusal = next((fault for fault in hits if fault.kind in REFUSALS), None)
        if refusal is not None:
            reply = _json(wire.encode_refusal(question, wire.Refused(*REFUSALS[refusal.kind])))
            if refusal.kind == "rate_limit":
                reply.headers["Retry-After"] = f"{refusal.seconds:g}"
            return reply
        if self._token is not None and token != self._token:
            return _json(wire.encode_refusal(question, wire.Refused(*wire.BAD_TOKEN)))
        try:
            rows = self._wire.answer(_diverted(question, hits, self._truth), self._clock.now())
        except wire.Refused as exc:
            return _json(wire.encode_refusal(question, exc))
        for fault in hits:
            rows = wire.spoil_rows(rows, fault)
        return trouble.broken(_json(wire.encode_rows(question, rows)), hits)


class _Fred:
    def __init__(self, truth: MarketTruth, clock: SimulatedClock, faults: FaultPlan) -> None:
        self._truth, self._clock, self._faults = truth, clock, faults

    async def answer(self, request: Request) -> Response:
        """One series as CSV."""
        series_id = request.query_params.get("id", "")
        hits = self._faults.match("fredgraph.csv", series_id)
        early = await trouble.early_answer(hits)
        if early is not None:
            return early
        for fault in hits:
            if fault.kind == "wrong_series":
                series_id = fault.series_id or next(name for name in self._truth.macro if name != series_id)
        series = self._truth.macro.get(series_id)
        if series is None:
            return Response(wire.FRED_NOT_FOUND, status_code=404, media_type="text/html")
        local = self._clock.now().astimezone(wire.FRED_ZONE)
        is_out = local.time() >= FRED_RELEASES_AT
        body = series.csv_at(local.date() if is_out else local.date() - timedelta(days=1))
        for fault in hits:
            body = wire.spoil_csv(body, fault)
        headers = {"Content-Disposition": f'attachment; filename="{series_id}.csv"'}
        return trouble.broken(Response(body, media_type="application/csv", headers=headers), hits)


class _FredApi:
    def __init__(self, truth: MarketTruth, clock: SimulatedClock, faults: FaultPlan, key: str | None) -> None:
        self._wire = simulator_fred.FredApiWire(truth.macro, key)
        self._clock, self._faults = clock, faults

    async def answer(self, request: Request) -> Response:
        """One question to an endpoint of FRED's API."""
        endpoint, params = request.path_params["endpoint"], dict(request.query_params)
        hits = self._faults.match(f"fred/{endpoint}", params.get("series_id", ""))
        early = await trouble.early_answer(hits)
        if early is not None:
            return early
        try:
            if any(fault.kind == "bad_token" for fault in hits):
                raise simulator_fred.Refused(400, simulator_fred.KEY_UNKNOWN)
            if endpoint not in ("series", *simulator_fred.MOST_ROWS):
                raise simulator_fred.Refused(404, "Not Found.")
            body = self._wire.answer(endpoint, params, self._clock.now(), tuple(hits))
        except simulator_fred.Refused as exc:
            return Response(exc.body, status_code=exc.status, media_type="application/json")
        return trouble.broken(_json(body), hits)


class _Control:
    def __init__(self, truth: MarketTruth, clock: SimulatedClock, faults: FaultPlan) -> None:
        self._truth, self._clock, self._faults = truth, clock, faults

    async def answer_clock(self, request: Request) -> Response:
        """Tell the time, or set it."""
        if request.method == "POST":
            try:
                self._clock.set(datetime.fromisoformat((await request.json())["now"]))
            except (ValueError, KeyError, TypeError) as exc:
                return JSONResponse({"error": f"no instant in the request: {exc}"}, status_code=400)
        return JSONResponse({"now": self._clock.now().isoformat()})

    async def answer_faults(self, request: Request) -> Response:
        """List the faults in force, add some, or lift all."""
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            try:
                described = msgspec.json.decode(await request.body(), type=list[dict[str, Any]])
                self._faults.add(*(fault_plans.fault_from_json(each) for each in described))
            except (ValueError, TypeError) as exc:
                return JSONResponse({"error": str(exc)}, status_code=400)
        return JSONResponse([asdict(fault) | {"n_hits": n_hits} for fault, n_hits in self._faults.hits()])

    async def answer_truth(self, request: Request) -> Response:
        """What is being served, with the answer key."""
        truth = self._truth
        return JSONResponse(
            {
                "name": truth.name,
                "n_sessions": len(truth.session_dates),
                "first_session": truth.session_dates[0].isoformat(),
                "last_session": truth.session_dates[-1].isoformat(),
                "n_symbols": len(truth.ts_codes),
                "n_macro_series": len(truth.macro),
                "anomalies": [asdict(each) | {"trade_date": str(each.trade_date)} for each in truth.anomalies],
            }
        )


def _diverted(question: wire.Question, hits: Sequence[Fault], truth: MarketTruth) -> wire.Question:
    """The question that a confused vendor answers instead."""
    for fault in hits:
        if fault.kind == "wrong_series":
            for name in ("trade_date", "ts_code"):
                if name in question.params:
                    other = fault.series_id or _another(question.params[name], name, truth)
                    return wire.Question(question.api_name, {**question.params, name: other}, question.fields)
    return question


def _another(asked: str, name: str, truth: MarketTruth) -> str:
    known = [f"{day:%Y%m%d}" for day in truth.session_dates] if name == "trade_date" else list(truth.ts_codes)
    return next(each for each in known if each != asked)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
