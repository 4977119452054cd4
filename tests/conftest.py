"""What every test may ask for: an empty lake, provenance, rows written as small tables, and a random market.

Helpers are fixtures that return functions, because nothing imports `tests`: pandas-datareader installs a top-level
package of that name.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import json
import os
import shutil
import socket
import socketserver
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import postgres_cluster
import pyarrow as pa
import pytest
from postgres_cluster import PostgresServer

from flows import settings, steps, vendors
from warehouse import errors, lake, load
from warehouse.contracts import Table
from warehouse.sources import market as synthetic
from warehouse.sources.truth import MarketTruth
from warehouse.tables import TABLES, market

# A lake takes tenths of a second to make, and a shared machine varies: deadlines would fail at random.
hypothesis.settings.register_profile(
    "daybook",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("daybook")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MOST_ROWS_SPELT_OUT = 5000
FIRST_INSTANT = datetime(2024, 1, 1, 10, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Market:
    """Bars, factors and turnover of a few securities, sorted by security and session, as pandas frames."""

    daily: pd.DataFrame
    adj_factor: pd.DataFrame
    daily_basic: pd.DataFrame

    def of_sessions(self, sessions: Sequence[date]) -> Market:
        """The rows of some sessions."""
        return Market(*(f[f["trade_date"].isin(sessions)] for f in (self.daily, self.adj_factor, self.daily_basic)))

    @property
    def sessions(self) -> list[date]:
        """Every session with a bar, ascending."""
        return sorted(self.daily["trade_date"].unique())


class ScriptedVendor:
    """A vendor on loopback that gives its answers in turn, the last one again and again, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.asked: list[tuple[str, bytes, float]] = []
        vendor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                vendor.asked.append((self.path, body, time.monotonic()))
                at = min(len(vendor.asked), len(vendor.answers)) - 1
                status, answer, headers = vendor.answers[at]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def will_answer(self, *answers: bytes | tuple[int, bytes] | tuple[int, bytes, dict[str, str]]) -> None:
        """From now on these: a body, or status and body, or status, body and headers."""
        self.asked.clear()
        whole = [(200, answer) if isinstance(answer, bytes) else answer for answer in answers]
        self.answers[:] = [(*answer, {})[:3] for answer in whole]  # type: ignore[misc]


@pytest.fixture
def scripted() -> Iterator[ScriptedVendor]:
    """A vendor that answers with the bytes it is told to."""
    vendor = ScriptedVendor()
    thread = threading.Thread(target=vendor.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield vendor
    vendor.server.shutdown()
    thread.join()
    vendor.server.server_close()


class Receiver:
    """What a receiver of messages on loopback took, and which of what it is handed it refuses.

    Args:
        server: serves in a thread of its own.
    """

    def __init__(self, server: socketserver.ThreadingTCPServer) -> None:
        self.server = server
        self.port = int(server.server_address[1])
        self.taken: list[Any] = []
        self.n_handed = 0
        self.refuse_every = 0
        self.most_bytes = 0

    def takes(self, what: Any) -> bool:
        """Keep what was handed over, unless it is the turn of a refusal."""
        self.n_handed += 1
        if self.refuse_every and self.n_handed % self.refuse_every == 0:
            return False
        self.taken.append(what)
        return True


class _WebhookHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_taken = self.server.receiver.takes((dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(200 if is_taken else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


class _MailHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.say("220 ready")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline()) not in (b".\r\n", b""):
                    # RFC 5321, 4.5.2: the sender doubles a dot that begins a line.
                    lines.append(text.removeprefix(b"."))
                if not text:
                    return
                most = self.server.receiver.most_bytes  # type: ignore[attr-defined]
                if most and sum(map(len, lines)) > most:
                    self.say("552 too large")
                    continue
                mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                is_taken = self.server.receiver.takes(mail)  # type: ignore[attr-defined]
                self.say("250 taken" if is_taken else "451 not now")
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
        self.wfile.flush()


class _QuietServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        """A sender that was killed hangs up: no error of the receiver's."""


@contextlib.contextmanager
def _receiving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[Receiver]:
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        receiver = server.receiver = Receiver(server)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    """A web server that keeps headers and JSON of what is posted to it."""
    with _receiving(_WebhookHandler) as receiver:
        yield receiver


@pytest.fixture
def mail_server() -> Iterator[Receiver]:
    """An SMTP server that keeps the mails it takes."""
    with _receiving(_MailHandler) as receiver:
        yield receiver


@pytest.fixture(scope="session", autouse=True)
def lake_threads(pytestconfig: pytest.Config) -> Iterator[int | None]:
    """Threads of DuckDB: one where thousands of small statements are tried, as a second costs more than it brings.

    What is exhaustive or measured has as many as the machine has cores.
    """
    if "not exhaustive" not in pytestconfig.option.markexpr:
        yield None
        return
    with pytest.MonkeyPatch.context() as patch:
        # Also for the programs that tests start.
        patch.setenv("DAYBOOK__LAKE_THREADS", "1")
        yield 1


@pytest.fixture
def location(tmp_path: Path, lake_threads: int | None) -> lake.LakeLocation:
    """Where a lake may be made; nothing is there yet."""
    return lake.LakeLocation(tmp_path / "lake", memory_limit="1GB", threads=lake_threads)


@pytest.fixture(scope="session")
def lay_out(tmp_path_factory: pytest.TempPathFactory) -> Callable[[lake.LakeLocation], None]:
    """A function that puts a lake without a row where it is told: a copy, as making one takes half a second.

    On a server it leaves the making to the first writer.
    """
    blank = lake.LakeLocation(tmp_path_factory.mktemp("blank") / "lake")
    with lake.open_writer(blank, holder="test"):
        pass

    def run(location: lake.LakeLocation) -> None:
        if location.catalog_file is None:
            return
        shutil.copytree(blank.path, location.path)
        with contextlib.closing(sqlite3.connect(str(location.catalog_file))) as catalog, catalog:
            catalog.execute("update ducklake_metadata set value = ? where key = 'data_path'", (location.data_address,))

    return run


@pytest.fixture
def empty_lake(location: lake.LakeLocation, lay_out: Callable[[lake.LakeLocation], None]) -> Iterator[lake.Lake]:
    """A lake with every table and view and no row, open for writing."""
    lay_out(location)
    with lake.open_writer(location, holder="test", wait_s=5) as opened:
        yield opened


@pytest.fixture
def new_lake(
    tmp_path: Path, lay_out: Callable[[lake.LakeLocation], None], lake_threads: int | None
) -> Callable[[], lake.LakeLocation]:
    """A function that makes another lake without a row, for tests that compare two or replay many."""
    count = iter(range(10_000))

    def make() -> lake.LakeLocation:
        location = lake.LakeLocation(tmp_path / f"lake-{next(count)}", memory_limit="1GB", threads=lake_threads)
        lay_out(location)
        return location

    return make


@pytest.fixture(scope="session")
def postgres(free_port: Callable[[], int]) -> Iterator[PostgresServer]:
    """A PostgreSQL server with its own cluster."""
    initdb = postgres_cluster.find_initdb()
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: initdb is missing")
    with postgres_cluster.running(initdb, free_port()) as cluster:
        yield cluster.server


@pytest.fixture
def postgres_location(
    postgres: PostgresServer, tmp_path: Path, lake_threads: int | None
) -> Iterator[lake.LakeLocation]:
    """Where a lake may be made whose catalog is a database of its own on PostgreSQL."""
    database = f"lake_{uuid.uuid4().hex[:12]}"
    with postgres.connected() as session:
        session.execute(f"create database {database}")
    yield lake.LakeLocation(
        tmp_path / "lake",
        catalog=f"postgres:{postgres.conninfo(database)}",
        memory_limit="1GB",
        threads=lake_threads,
        catalog_password=postgres.password,
    )
    with postgres.connected() as session:
        session.execute(f"drop database {database} with (force)")


@pytest.fixture(params=["sqlite", "postgres"])
def either_location(request: pytest.FixtureRequest) -> lake.LakeLocation:
    """Where a lake may be made, once with its catalog in a file and once on a server."""
    return request.getfixturevalue("location" if request.param == "sqlite" else "postgres_location")


CHILD = """
import json, os, signal, sys
from pathlib import Path
from warehouse import errors, lake
facts = json.loads(os.environ["DAYBOOK_TEST_LOCATION"])
location = lake.LakeLocation(Path(facts.pop("path")), **facts)
"""


@pytest.fixture
def start_child(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that runs a script in a process of its own; the script finds `location`, `lake` and `errors`."""
    root = str(Path(__file__).resolve().parents[1])
    started: list[subprocess.Popen[str]] = []

    def start(location: lake.LakeLocation, script: str) -> subprocess.Popen[str]:
        facts = {
            "path": str(location.path),
            "catalog": location.catalog,
            "memory_limit": location.memory_limit,
            "threads": location.threads,
            "catalog_password": location.catalog_password,
        }
        environment = {**os.environ, "DAYBOOK_TEST_LOCATION": json.dumps(facts), "PYTHONPATH": root}
        # Without a file DuckDB takes it for a prompt, and draws a progress bar into what is read here.
        file = tmp_path / f"child-{len(started)}.py"
        file.write_text(CHILD + textwrap.dedent(script))
        process = subprocess.Popen(
            [sys.executable, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


READER = """
import time
question = {question!r}
pause_s = {pause_s!r}
with lake.open_reader(location) as reader:
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, counts, failures = [], [], []
        stop = Path(line.strip())
        while not stop.exists():
            started = time.perf_counter()
            try:
                counts.append(reader.read_value(question))
            except errors.DaybookError as exc:
                failures.append(str(exc))
            seconds.append(time.perf_counter() - started)
            time.sleep(pause_s)
        print(json.dumps(dict(seconds=seconds, counts=counts, failures=failures)), flush=True)
"""


@pytest.fixture
def read_beside(
    start_child: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> Callable[..., Callable[[Callable[[], object]], list[dict[str, Any]]]]:
    """A function that starts processes which have a lake open; what it returns has them query while something runs.

    They count the releases, twenty times a second, or ask another question. Each process answers with the seconds its
    queries took, the counts it saw and the errors it met.
    """
    numbers = iter(range(10_000))

    def start(
        location: lake.LakeLocation,
        n_readers: int,
        question: str = "select count(*) from macro.release",
        pause_s: float = 0.05,
    ) -> Callable[[Callable[[], object]], list[dict[str, Any]]]:
        script = READER.format(question=question, pause_s=pause_s)
        children = [start_child(location, script) for _ in range(n_readers)]
        assert [child.stdout.readline() for child in children] == ["ready\n"] * n_readers

        def run(work: Callable[[], object]) -> list[dict[str, Any]]:
            stop = tmp_path / f"stop-{next(numbers)}"
            for child in children:
                child.stdin.write(f"{stop}\n")
                child.stdin.flush()
            try:
                work()
            finally:
                stop.touch()
            return [json.loads(child.stdout.readline()) for child in children]

        return run

    return start


@pytest.fixture(scope="session")
def vendor_data() -> Path:
    """Real vendors' data, which lies beside the checkout where acceptance runs are made."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.exists():
        pytest.skip("needs the real vendor data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def stamp() -> Callable[[int], load.Stamp]:
    """Provenance of the n-th load: load ids and instants that rise with n."""
    return lambda n: load.Stamp(f"load-{n}", FIRST_INSTANT + timedelta(hours=n))


@pytest.fixture
def frame() -> Callable[[Table, str], pa.Table]:
    """Rows from a small ASCII table in the contract's types: a header, then one line a row, `-` for NULL."""
    return _frame


def _frame(table: Table, text: str) -> pa.Table:
    header, *lines = [line.split() for line in text.strip().splitlines()]
    arrays = []
    for position, name in enumerate(header):
        kind = table.arrow_schema.field(name).type
        words = [None if line[position] == "-" else line[position] for line in lines]
        arrays.append(pa.array(words, pa.string()).cast(kind))
    return pa.table(arrays, names=header)


@pytest.fixture
def bars(frame: Callable[[Table, str], pa.Table]) -> Callable[[str], pa.Table]:
    """Rows of market.daily from lines `ts_code trade_date close`: a flat bar, 100 lots at that price."""

    def make(text: str) -> pa.Table:
        lines = [line.split() for line in text.strip().splitlines()]
        body = "\n".join(f"{code} {day} {p} {p} {p} {p} {p} 0 0 100 {abs(float(p)) * 10:g}" for code, day, p in lines)
        return frame(
            market.DAILY, f"ts_code trade_date open high low close pre_close change pct_chg vol amount\n{body}"
        )

    return make


@pytest.fixture
def load_days(stamp: Callable[[int], load.Stamp]) -> Callable[..., pa.Table]:
    """Load rows of one table, one partition per distinct `trade_date` unless days are named."""

    def run(
        to: lake.Lake, table: Table, rows: pa.Table, n: int = 0, days: Sequence[date] = (), **facts: Any
    ) -> pa.Table:
        wanted = days or sorted(set(rows["trade_date"].to_pylist()))
        partitions = [load.Partition(day.isoformat(), day, **facts) for day in wanted]
        return load.load(to, [load.Load(table, rows, partitions, "trade_date")], stamp(n))

    return run


@pytest.fixture(scope="session")
def random_market() -> Callable[..., Market]:
    """A seeded market: log-normal prices, a few ex-rights days, and suspensions; bars without a range by default."""
    return _random_market


def _random_market(
    n_codes: int = 4, n_sessions: int = 30, seed: int = 1, suspended: float = 0.05, *, ranging: bool = False
) -> Market:
    rng = np.random.default_rng(seed)
    sessions = [stamp.date() for stamp in pd.bdate_range("2023-01-02", periods=n_sessions)]
    shape = (n_codes, n_sessions)
    close = np.round(10.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, shape), axis=1)), 2)
    factor = np.cumprod(np.where(rng.random(shape) < 0.03, 1.1, 1.0), axis=1)
    amount = rng.uniform(1e4, 1e6, shape)
    has_bar = rng.random(shape) >= suspended
    frame = pd.DataFrame(
        {
            "ts_code": np.repeat([f"{600000 + i}.SH" for i in range(n_codes)], n_sessions),
            "trade_date": sessions * n_codes,
            "close": close.ravel(),
            "adj_factor": factor.ravel(),
            "amount": amount.ravel(),
            "turnover_rate": rng.uniform(0.1, 5.0, shape).ravel(),
        }
    )[has_bar.ravel()]
    daily = frame[["ts_code", "trade_date", "close", "amount"]].assign(
        open=frame["close"], high=frame["close"], low=frame["close"], pre_close=frame["close"], vol=100.0
    )
    key = ["ts_code", "trade_date"]
    basic = frame[[*key, "close", "turnover_rate"]]
    if ranging:
        moves = np.exp(rng.normal(0.0, 0.01, (3, len(frame))))
        daily["open"], daily["pre_close"] = frame["close"] * moves[0], frame["close"] * moves[1]
        prices = daily[["open", "close", "pre_close"]]
        daily["high"], daily["low"] = prices.max(axis=1) * np.maximum(moves[2], 1.0), prices.min(axis=1) * 0.99
        basic = basic.assign(**{name: rng.uniform(1.0, 40.0, len(frame)) for name in ("pe_ttm", "pb", "ps_ttm")})
        basic.loc[rng.random(len(frame)) < 0.1, "pe_ttm"] = np.nan
    return Market(daily, frame[[*key, "adj_factor"]], basic)


@pytest.fixture(scope="session")
def load_market(stamp: Callable[[int], load.Stamp]) -> Callable[..., None]:
    """Load bars, factors and turnover of a `Market` in one commit."""

    def run(to: lake.Lake, rows: Market, n: int = 0) -> None:
        loads = []
        for table, part in (
            (market.DAILY, rows.daily),
            (market.ADJ_FACTOR, rows.adj_factor),
            (market.DAILY_BASIC, rows.daily_basic),
        ):
            days = sorted(part["trade_date"].unique())
            if days:
                partitions = [load.Partition(day.isoformat(), day) for day in days]
                arrow = pa.Table.from_pandas(part, preserve_index=False)
                loads.append(load.Load(table, arrow, partitions, "trade_date"))
        load.load(to, loads, stamp(n))

    return run


@pytest.fixture
def load_sessions(stamp: Callable[[int], load.Stamp]) -> Callable[[lake.Lake, Sequence[date]], None]:
    """Enter open sessions into the exchange's calendar."""

    def run(to: lake.Lake, sessions: Sequence[date]) -> None:
        rows = pa.table(
            {"exchange": ["SSE"] * len(sessions), "cal_date": list(sessions), "is_open": [True] * len(sessions)}
        )
        load.load(to, [load.Load(market.TRADE_CAL, rows, [load.Partition("SSE", sessions[-1])], None)], stamp(0))

    return run


@pytest.fixture
def facts_of() -> Callable[..., dict[str, list[dict[str, Any]]]]:
    """Every stored fact, provenance left out, sorted: two lakes that know the same give the same."""

    def run(of: lake.Lake, schemas: Sequence[str] = ("market", "macro", "feature", "ops")) -> dict[str, Any]:
        facts = {}
        for table in TABLES:
            if table.schema in schemas and not table.is_provenance:
                names = ", ".join(f'"{name}"' for name in table.fact_names)
                # A long table as Python objects takes seconds; its digest says as surely whether two are the same.
                summary = of.read(
                    f"select count(*) as n_rows, bit_xor(hash(hash({names}))) as digest from {table.full_name}"
                ).to_pylist()
                is_long = summary[0]["n_rows"] > MOST_ROWS_SPELT_OUT
                facts[table.full_name] = (
                    summary if is_long else of.read(f"select {names} from {table.full_name} order by all").to_pylist()
                )
        return facts

    return run


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that tells a port nobody listens at."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        return port

    return find


@pytest.fixture
def mount_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A function that makes a folder on a file system of so many megabytes."""
    mounted: list[Path] = []

    def mount(megabytes: int) -> Path:
        if os.geteuid() != 0:
            pytest.skip("only root can mount a small file system")
        place = tmp_path / f"disk-{megabytes}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "daybook-test", str(place)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no small file system can be mounted: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def small_disk(mount_disk: Callable[[int], Path]) -> Path:
    """A folder on a file system of 48 MB, which holds the lake of a few sessions."""
    return mount_disk(48)


@dataclass(frozen=True)
class Evening:
    """How a run ended for whoever started it: the exit status, and what it said on the way out."""

    exit_code: int
    message: str


class MarketDesk:
    """A home with simulated vendors of its own; `evening` is the market half of a day's run, up to its alerts."""

    def __init__(self, options: Any, vendor: Any) -> None:
        self.options, self.vendor = options, vendor

    def evening(self, day: date, at: datetime | None = None) -> Evening:
        """Run a day at 18:00 in Shanghai, or at another instant."""
        from flows import ingest

        self.vendor.clock.set(at or vendors.evening_of(day))
        context = steps.open_context(self.options, "daily", day)

        def call(step: Any, context: Any, as_of: date) -> dict[str, Any]:
            if step.name == "ingest":
                start = steps.first_session_wanted(context, as_of)
                ingest.ingest_reference(context)
                ingest.ingest_indices(context, start, as_of)
                ingest.ingest_sessions(context, start, as_of, lambda what, done, total: None)
            elif step.name in ("returns", "detect"):
                step.run(context, as_of, lambda what, done, total: None)
            return {"report": "none"}

        try:
            steps.run_daily(context, steps.resolve_as_of(context, day), call)
        except errors.DaybookError as exc:
            return Evening(exc.exit_code, str(exc))
        return Evening(0, "")

    def read(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        """Rows of a query."""
        with lake.open_reader(self.options.lake) as opened:
            return opened.read(statement, **params).to_pylist()

    def ledger(self, dataset: str, partition: object) -> tuple[str, str] | None:
        """State and cause of a partition, None when nothing was ever asked."""
        rows = self.read(
            "select state, cause from ops.ledger where dataset = $d and partition = $p", d=dataset, p=str(partition)
        )
        return (rows[0]["state"], rows[0]["cause"]) if rows else None

    def alerts(self) -> list[tuple[str, str, date]]:
        """Rule, subject and day of every open alert."""
        rows = self.read("select rule, subject, subject_date from ops.alert where state = 'open' order by all")
        return [(row["rule"], row["subject"], row["subject_date"]) for row in rows]


@pytest.fixture(scope="session")
def truth30() -> MarketTruth:
    """30 securities, 30 sessions; nothing is planted in the sessions 11 to 17."""
    return synthetic.synthetic_market(seed=3, n_symbols=30, n_sessions=30)


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., MarketDesk]]:
    """A function that opens a desk with an empty lake at the vendors of a truth, its history from a day on."""
    count = iter(range(100))
    with contextlib.ExitStack() as stack:

        def make(truth: MarketTruth, history_start: date, **overrides: Any) -> MarketDesk:
            return _desk_at(stack, tmp_path / f"desk-{next(count)}", truth, history_start, overrides)

        yield make


def _desk_at(stack: Any, home: Path, truth: MarketTruth, history_start: date, overrides: Any) -> MarketDesk:
    vendor = stack.enter_context(vendors.running(truth, vendors.evening_of(history_start)))
    known = {name.removeprefix("DAYBOOK__").lower(): value for name, value in vendors.environment(vendor, home).items()}
    known["index_codes"] = tuple(json.loads(known["index_codes"]))
    known |= {"history_start": history_start, "vendor_attempts": 2, "_env_file": None}
    return MarketDesk(settings.read_settings(**(known | overrides)), vendor)


@pytest.fixture(scope="session")
def settled_desk(tmp_path_factory: pytest.TempPathFactory, truth30: MarketTruth) -> Iterator[MarketDesk]:
    """A desk that has run once, for session 15, and a copy of its home to go back to."""
    home = tmp_path_factory.mktemp("settled") / "home"
    with contextlib.ExitStack() as stack:
        desk = _desk_at(stack, home, truth30, truth30.session_dates[11], {})
        assert desk.evening(truth30.session_dates[15]) == Evening(0, "")
        assert desk.alerts() == []
        shutil.copytree(home, home.parent / "kept")
        yield desk


@pytest.fixture
def desk(settled_desk: MarketDesk) -> MarketDesk:
    """The desk as it stood after session 15: everything whole, no alert open, the vendors well."""
    home = settled_desk.options.root
    settled_desk.vendor.faults.clear()
    shutil.rmtree(home)
    shutil.copytree(home.parent / "kept", home)
    return settled_desk


@dataclass(frozen=True)
class Desk:
    """A home of its own and the simulated vendors it talks to."""

    options: settings.Settings
    vendor: Any

    def run(self, day: date) -> None:
        """The evening run of a day as far as the data go: no model, no report."""
        self.vendor.clock.set(vendors.evening_of(day))
        context = steps.open_context(self.options, "daily", day)
        steps.run_ingest(context, day, steps.no_progress)
        steps.run_returns(context, day, steps.no_progress)

    def backfill(self, start: date, end: date, on: date | None = None) -> dict[str, Any]:
        """A backfill on the evening of its last day, or of a later one."""
        self.vendor.clock.set(vendors.evening_of(on or end))
        return steps.backfill(steps.open_context(self.options, "backfill", end), start, end, steps.no_progress)

    def read(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        """Rows of the desk's lake."""
        with lake.open_reader(self.options.lake) as opened:
            return opened.read(statement, **params).to_pylist()


@pytest.fixture(scope="session")
def desk_at() -> Callable[..., Desk]:
    """A function that puts a desk into a folder and points it at simulated vendors."""

    def put(home: Path, vendor: Any, **overrides: Any) -> Desk:
        prefix = settings.PREFIX
        known: dict[str, Any] = {
            name.removeprefix(prefix).lower(): value for name, value in vendors.environment(vendor, home).items()
        }
        known["index_codes"] = tuple(json.loads(known["index_codes"]))
        known |= {"history_start": vendor.truth.session_dates[0], "vendor_attempts": 2, "_env_file": None}
        return Desk(settings.read_settings(**(known | overrides)), vendor)

    return put


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Debian's Chromium, which .ci/run installs")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield opened
        opened.close()
