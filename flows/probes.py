"""Do the places a run needs answer, and as they should? Each is tried as a run would use it, at small cost.

A vendor is asked one question with the account's own token, a folder is written to, a port is listened at. Nothing is
kept: what the vendors answer is read and let go. Partner: `flows/doctor.py`.
"""

from __future__ import annotations

import email.utils
import importlib.metadata
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from flows import clients, clock, prefect_api, serving, settings
from warehouse import errors
from warehouse.sources import http

# One try: who looks whether a vendor answers wants to know that it did not.
ONE_TRY = http.Policy(attempts=1, connect_timeout_s=5.0, read_timeout_s=15.0, call_deadline_s=30.0)
# A series that anybody may ask for, and that is small.
SERIES = "UNRATE"
# A run for the evening of a day is a matter of minutes around 17:00, and of days around midnight.
MOST_CLOCK_DRIFT = timedelta(minutes=5)


@dataclass(frozen=True)
class Fact:
    """One thing looked at.

    Args:
        topic: what.
        found: how it is.
        is_good: False when something must be done, None when it is only information.
        advice: what to do, empty when good.
    """

    topic: str
    found: str
    is_good: bool | None
    advice: str = ""


def vendors(options: settings.Settings) -> list[Fact]:
    """Whether both vendors answer and take the account, and whether they and this machine agree on the time."""
    replies: list[http.Reply] = []
    # Beside a run these calls count as well; where there is no home yet, there is no run.
    asked = clients.Clients(options, replies.append, ONE_TRY, is_counted=options.root.is_dir())
    facts = [_fred(asked), _fred_key(asked), _tushare(asked)]
    # A simulated clock is not the one that the answers' headers tell.
    return facts if options.clock_url else [*facts, _clock_of(replies)]


def _fred(asked: clients.Clients) -> Fact:
    try:
        newest = max(asked.build_fred().fetch_observations(SERIES)["observation_date"].to_pylist())
    except (errors.VendorError, errors.ConfigError) as exc:
        return Fact("FRED", "gives no usable answer", False, _advice(exc, asked.options.fred_url))
    return Fact("FRED", f"answers, {SERIES} through {newest:%Y-%m}", True)


def _fred_key(asked: clients.Clients) -> Fact:
    topic, source = "FRED_API_KEY", asked.build_fred_api()
    if source is None:
        return Fact(topic, "not set: without it vintages are those Daybook saw itself", None)
    try:
        source.fetch_facts(SERIES)
    except errors.BadCredentials as exc:
        return Fact(topic, "refused by FRED", False, f"Set it to the account's key. {exc}")
    except (errors.VendorError, errors.ConfigError) as exc:
        advice = _advice(exc, asked.options.fred_api_url)
        return Fact(topic, "set, but FRED's API gives no usable answer", False, advice)
    return Fact(topic, "accepted by FRED", True)


def _tushare(asked: clients.Clients) -> Fact:
    topic = "TUSHARE_TOKEN"
    try:
        source = asked.build_tushare()
        if source is None:
            return Fact(topic, "not set: without it only the macro half runs", None)
        day = clock.known_date(clock.read_now(asked.options.clock_url))
        source.fetch_trade_cal(day, day)
    except errors.BadCredentials as exc:
        return Fact(topic, "refused by Tushare", False, f"Set it to the account's token. {exc}")
    except (errors.VendorError, errors.ConfigError) as exc:
        advice = _advice(exc, asked.options.tushare_url)
        return Fact(topic, "set, but Tushare gives no usable answer", False, advice)
    return Fact(topic, "accepted by Tushare", True)


def _advice(exc: errors.DaybookError, url: str) -> str:
    return f"{exc} Check the network, and the address {url}."


def _clock_of(replies: list[http.Reply]) -> Fact:
    """Whether this machine's clock goes with that of the vendors' servers."""
    topic = "clock beside the vendors'"
    for reply in replies:
        told = next((value for name, value in reply.headers.items() if name.lower() == "date"), "")
        try:
            theirs = email.utils.parsedate_to_datetime(told)
        except ValueError:
            continue
        drift = reply.retrieved_at - theirs
        if abs(drift) > MOST_CLOCK_DRIFT:
            how = "ahead of" if drift > timedelta(0) else "behind"
            return Fact(
                topic,
                f"this machine is {abs(drift)} {how} {reply.vendor}",
                False,
                "Set this machine's clock, or let it be set from the network (NTP): days are told by it.",
            )
        return Fact(topic, f"within {MOST_CLOCK_DRIFT.seconds // 60} minutes of {reply.vendor}", True)
    return Fact(topic, "cannot be compared: no vendor told the time", None)


def folder(topic: str, path: Path, variable: str) -> Fact:
    """Whether a folder, or the first that exists above it, can be written to."""
    existing = settings.existing_folder(path)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".daybook-", suffix=".probe") as file:
            file.write(b"probe")
            file.flush()
    except OSError as exc:
        advice = f"Mend the rights of {existing}, or set {variable} to another folder."
        return Fact(topic, f"{path} cannot be written to: {exc.strerror}", False, advice)
    return Fact(topic, f"{path} can be written to", True)


def ports(options: settings.Settings) -> list[Fact]:
    """Whether `daybook serve` has its two ports, or already stands behind them with the same version."""
    if serving.is_server_up(options):
        return [_prefect_server(options), *_versions(options)]
    if options.prefect_api_url:
        advice = "Start it, or mend DAYBOOK__PREFECT_API_URL."
        return [Fact("Prefect server", f"does not answer at {options.prefect_api}", False, advice)]
    return [
        _port("port of Prefect's server", options.prefect_port, "DAYBOOK__PREFECT_PORT"),
        _port("port of the reports", options.reports_port, "DAYBOOK__REPORTS_PORT"),
    ]


def doors(options: settings.Settings) -> list[Fact]:
    """Whether a server would listen beyond this machine and ask nobody for a password."""
    facts = []
    for topic, what, variable in (
        ("door of Prefect's server", "Prefect's server", "DAYBOOK__PREFECT_AUTH"),
        ("door of the reports", "the report server", "DAYBOOK__REPORTS_AUTH"),
    ):
        try:
            options.refuse_open(what, variable)
        except errors.ConfigError as exc:
            facts.append(Fact(topic, f"open to whoever reaches {options.serve_host}", False, str(exc)))
    return facts


def _prefect_server(options: settings.Settings) -> Fact:
    """Whether the server lets this installation in, and nobody without a password where one is set."""
    topic, found = "Prefect server", f"answers at {options.prefect_api}"
    try:
        reason = prefect_api.why_refused(options)
        if not reason and options.prefect_auth and prefect_api.asks_nobody(options):
            reason = "It asks nobody for a password, though DAYBOOK__PREFECT_AUTH is set. Start it again with that."
    except (*prefect_api.UNREACHABLE, ValueError) as exc:
        reason = f"It gives no usable answer ({type(exc).__name__}). Look at its log, server.log."
    return Fact(topic, found, not reason, reason)


def _port(topic: str, port: int, variable: str) -> Fact:
    try:
        serving.refuse_taken(port, variable)
    except errors.ConfigError as exc:
        return Fact(topic, f"{port} is taken by another program", False, str(exc))
    return Fact(topic, f"{port} is free", True)


def _versions(options: settings.Settings) -> list[Fact]:
    """Whether the server, and the flows that it knows, are of the versions installed here."""
    topic, here = "version of the worker", settings.code_version()
    try:
        server = prefect_api.version_of_server(options)
        offered = prefect_api.ask_patiently(options, "/deployments/filter", {"limit": serving.DEPLOYMENTS_ASKED})
    except (*prefect_api.UNREACHABLE, ValueError) as exc:
        return [Fact(topic, f"the server does not tell ({type(exc).__name__})", False, "Look at its log, server.log.")]
    facts = []
    if server != (installed := importlib.metadata.version("prefect")):
        found = f"the server is Prefect {server}, installed is {installed}"
        facts.append(Fact("version of the server", found, False, "Install both from deploy/requirements.lock."))
    others = sorted({str(one["version"]) for one in offered} - {here})
    if others:
        found = f"flows are offered by Daybook {', '.join(others)}, installed is {here}"
        advice = "Stop `daybook serve` and start it again, so that it runs what is installed."
        return [*facts, Fact(topic, found, False, advice)]
    if not offered:
        return [*facts, Fact(topic, "no flow is offered", None)]
    return [*facts, Fact(topic, f"flows are offered by Daybook {here}", True)]
