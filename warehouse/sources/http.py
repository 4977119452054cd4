"""How a vendor is asked politely, and when it is given up.

Invariants: every answer is captured before it is judged; only `errors.Retryable` is tried again; a dead vendor costs
its budget of seconds once, and then every call fails at once with the first cause; no secret leaves in a message.
Partners: `fred.py` and `tushare.py`, which say what a good answer looks like.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn, TypeVar

import requests
import tenacity
import urllib3

from warehouse import errors
from warehouse.sources import limits

log = logging.getLogger(__name__)

T = TypeVar("T")

REDACTED = "***"
CHUNK_BYTES = 1 << 16
# urllib3 logs every address at DEBUG, and FRED takes its key in the address.
ADDRESS_LOGGER = "urllib3.connectionpool"


@dataclass(frozen=True)
class Reply:
    """One answer of a vendor, as it came.

    Args:
        vendor: `fred` or `tushare`.
        endpoint: what was called.
        params: what was asked, never with a secret.
        status: HTTP status.
        body: decoded bytes; a secret that the vendor echoed is replaced.
        headers: response headers.
        retrieved_at: UTC instant at which the answer was complete.
    """

    vendor: str
    endpoint: str
    params: Mapping[str, str]
    status: int
    body: bytes
    headers: Mapping[str, str]
    retrieved_at: datetime

    @property
    def sha256(self) -> str:
        """Digest of the body."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def reply_id(self) -> str:
        """Digest over vendor, endpoint, parameters, instant and body: 24 hexadecimal digits."""
        asked = json.dumps([self.vendor, self.endpoint, dict(self.params)], sort_keys=True)
        text = f"{asked}|{self.retrieved_at.isoformat()}|{self.sha256}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def described(self) -> str:
        """Vendor, endpoint and parameters in words, for messages."""
        asked = ", ".join(f"{name}={_shortened(value)}" for name, value in self.params.items())
        return f"{self.vendor} {self.endpoint}({asked})"


Keep = Callable[[Reply], None]


def _shortened(value: str) -> str:
    """A thousand codes in a message help nobody."""
    return value if len(value) <= 60 else f"{value[:40]}... ({value.count(',') + 1} of them)"


@dataclass(frozen=True)
class Policy:
    """How patient to be with a vendor.

    Args:
        calls: calls allowed in any `per_s` seconds.
        per_s: see `calls`.
        attempts: tries of one call.
        backoff_s: first wait between tries; doubles, with jitter.
        endpoint_limits: calls allowed, and in how many seconds, for endpoints with a limit of their own.
        longest_wait_s: longest wait between tries; a vendor that asks for more is given up for this call.
        connect_timeout_s: seconds to connect.
        read_timeout_s: seconds without a byte.
        call_deadline_s: seconds for the body of one answer, however it trickles.
        source_deadline_s: seconds that failing calls may cost altogether before the vendor is given up.
        breaker_failures: calls failing in a row after which the vendor is given up.
    """

    calls: int = 2
    per_s: float = 1.0
    attempts: int = 4
    backoff_s: float = 1.0
    longest_wait_s: float = 70.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    call_deadline_s: float = 180.0
    source_deadline_s: float = 900.0
    breaker_failures: int = 8
    endpoint_limits: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@dataclass
class _Health:
    """What the transport remembers of failures; guarded by its lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    n_in_a_row: int = 0
    lost_s: float = 0.0
    first_cause: errors.VendorError | None = None
    is_given_up: bool = False


class _WithoutSecret(logging.Filter):
    """Lets every record through, a secret in it replaced."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret

    def filter(self, record: logging.LogRecord) -> bool:
        """True, after the record was cleaned."""
        if self._secret in record.getMessage():
            record.msg, record.args = record.getMessage().replace(self._secret, REDACTED), ()
        return True


class _Session(requests.Session):
    """A session that looks at no `Location`: requests parses it even when not told to follow, and may fail at it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: nothing redirects us."""
        return None


class Transport:
    """One vendor's connection: session, limits, retries and health, shared by all threads of a run.

    Args:
        vendor: its name.
        policy: how patient to be.
        now: the instant, UTC.
        keep: is handed every answer, before it is judged.
        secret: what must appear nowhere; empty when there is none.
        shared_limits: where the calls made and the limits learned are kept, for all that name it; None for nowhere.
        refuse: raises what the HTTP status means; None for `refuse_status`.
    """

    def __init__(
        self,
        vendor: str,
        *,
        policy: Policy,
        now: Callable[[], datetime],
        keep: Keep,
        secret: str = "",
        shared_limits: limits.Shared | None = None,
        refuse: Callable[[Reply], None] | None = None,
    ) -> None:
        self.vendor = vendor
        self._refuse = refuse or refuse_status
        if secret:
            logging.getLogger(ADDRESS_LOGGER).addFilter(_WithoutSecret(secret))
        self._policy = policy
        self._now = now
        self._keep = keep
        self._secret = secret
        self._limits = limits.Limits(policy.calls, policy.per_s, policy.endpoint_limits, shared_limits)
        self._health = _Health()
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"Transport({self.vendor!r})"

    def __reduce__(self) -> NoReturn:
        # Prefect, Dask and multiprocessing pickle what they are handed, and would store the secret with it.
        raise TypeError("a vendor's connection holds a secret and is not carried elsewhere: build it where it is used")

    def call(self, request: requests.Request, params: Mapping[str, str], read: Callable[[Reply], T]) -> T:
        """What `read` makes of the vendor's answer, after as many tries as the policy allows.

        Args:
            request: what to send; its `hooks` are not used.
            params: what is asked, for messages and archive, without secrets; `endpoint` names what is called.
            read: judges an answer, and raises a `VendorError` when it is not usable.

        Raises:
            VendorError: no usable answer came.
        """
        self._refuse_when_given_up()
        started = time.monotonic()
        endpoint = params["endpoint"]
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_worth_another_try),
            stop=tenacity.stop_after_attempt(self._policy.attempts),
            wait=lambda state: self._wait(endpoint, state),
            reraise=True,
        )
        try:
            result = retrying(self._call_once, request, params, read)
        except errors.VendorError as exc:
            self._note_failure(exc, time.monotonic() - started)
            raise
        with self._health.lock:
            self._health.n_in_a_row = 0
        return result

    def _call_once(self, request: requests.Request, params: Mapping[str, str], read: Callable[[Reply], T]) -> T:
        self._wait_for_turn(params)
        reply = self._send(request, params)
        self._keep(reply)
        try:
            self._refuse(reply)
            return read(reply)
        except errors.RateLimited as exc:
            if exc.allowed is not None and self._limits.learn(reply.endpoint, *exc.allowed):
                log.warning(
                    "vendor told its limit vendor=%s endpoint=%s calls=%s per_s=%g",
                    self.vendor,
                    reply.endpoint,
                    *exc.allowed,
                )
            raise

    def _wait_for_turn(self, params: Mapping[str, str]) -> None:
        try:
            self._limits.wait(params["endpoint"], self._policy.longest_wait_s)
        except errors.RateLimited as exc:
            raise errors.RateLimited(f"{self.vendor} {params['endpoint']}: {exc}", exc.retry_after_s) from None

    def _send(self, request: requests.Request, params: Mapping[str, str]) -> Reply:
        asked = dict(params)
        endpoint = asked.pop("endpoint")
        session = self._session()
        failed: str | None = None
        try:
            with session.send(
                session.prepare_request(request),
                timeout=(self._policy.connect_timeout_s, self._policy.read_timeout_s),
                stream=True,
                allow_redirects=False,
            ) as response:
                body = self._read_body(response)
                headers = {name: self._without_secret(value) for name, value in response.headers.items()}
                return Reply(self.vendor, endpoint, asked, response.status_code, body, headers, self._now())
        except (requests.RequestException, urllib3.exceptions.HTTPError) as exc:
            failed = type(exc).__name__
        # Raised outside the handler: a chained requests exception carries the prepared request, and that the token.
        cut = failed in ("ProtocolError", "IncompleteRead", "DecodeError")
        kind = errors.IncompleteReply if cut else errors.VendorUnavailable
        described = Reply(self.vendor, endpoint, asked, 0, b"", {}, self._now()).described
        what = "the answer was cut short" if cut else "no answer came"
        raise kind(
            f"{described}: {what} ({failed}). Nothing was stored; run again later, `daybook doctor` tries the vendor."
        )

    def _read_body(self, response: requests.Response) -> bytes:
        deadline = time.monotonic() + self._policy.call_deadline_s
        chunks = []
        # read1 hands over what has come; iter_content waits for a whole chunk, and so for as long as a vendor trickles.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                raise requests.Timeout("call deadline")
        body = b"".join(chunks)
        return body.replace(self._secret.encode(), REDACTED.encode()) if self._secret else body

    def _without_secret(self, text: str) -> str:
        return text.replace(self._secret, REDACTED) if self._secret else text

    def _session(self) -> requests.Session:
        """One session a thread: requests does not promise that a session may be shared."""
        if not hasattr(self._local, "session"):
            session = _Session()
            session.headers["User-Agent"] = "daybook"
            # A .netrc or proxy variable must not decide who sees a token.
            session.trust_env = not self._secret
            self._local.session = session
        found: requests.Session = self._local.session
        return found

    def _is_worth_another_try(self, exc: BaseException) -> bool:
        if isinstance(exc, errors.RateLimited) and exc.retry_after_s is not None:
            return exc.retry_after_s <= self._policy.longest_wait_s
        return isinstance(exc, errors.Retryable)

    def _wait(self, endpoint: str, state: tenacity.RetryCallState) -> float:
        exc = state.outcome.exception() if state.outcome else None
        log.debug("vendor is tried again vendor=%s attempt=%s reason=%s", self.vendor, state.attempt_number, exc)
        if isinstance(exc, errors.RateLimited) and exc.retry_after_s is not None:
            self._limits.pause(endpoint, exc.retry_after_s)
            return exc.retry_after_s
        backoff = tenacity.wait_exponential_jitter(
            max=self._policy.longest_wait_s, multiplier=self._policy.backoff_s, jitter=self._policy.backoff_s
        )
        return float(backoff(state))

    def _note_failure(self, exc: errors.VendorError, seconds: float) -> None:
        with self._health.lock:
            health = self._health
            health.lost_s += seconds
            if not isinstance(exc, errors.BadCredentials) and not self._is_worth_another_try(exc):
                # A refusal of one name, or of one endpoint for hours, comes from a vendor that is well.
                return
            health.n_in_a_row += 1
            is_first = health.n_in_a_row == 1 or isinstance(exc, errors.BadCredentials)
            health.first_cause = exc if is_first else health.first_cause
            if (
                isinstance(exc, errors.BadCredentials)
                or health.n_in_a_row >= self._policy.breaker_failures
                or health.lost_s > self._policy.source_deadline_s
            ):
                health.is_given_up = True
                health.first_cause = health.first_cause or exc

    def _refuse_when_given_up(self) -> None:
        with self._health.lock:
            cause = self._health.first_cause if self._health.is_given_up else None
        if cause is None:
            return
        kind = errors.BadCredentials if isinstance(cause, errors.BadCredentials) else errors.VendorUnavailable
        raise kind(f"{self.vendor} was given up for this run. The first cause: {cause}")


def refuse_status(reply: Reply) -> None:
    """Nothing when the HTTP status is 200.

    Raises:
        RateLimited: 429.
        VendorUnavailable: 408, 423 or 5xx.
        NotPermitted: 401 or 403.
        UnexpectedReply: any other status.
    """
    status = reply.status
    if status == 200:
        return
    if status == 429:
        raise errors.RateLimited(
            f"{reply.described}: too many requests (HTTP 429). Lower the calls allowed in the settings if it repeats.",
            retry_after(reply),
        )
    if status in (408, 423) or status >= 500:
        raise errors.VendorUnavailable(
            f"{reply.described}: the vendor failed (HTTP {status}). Nothing was stored; run again later."
        )
    if status in (401, 403):
        raise errors.NotPermitted(
            f"{reply.described}: the vendor refused (HTTP {status}). Check the account, and whether this host may ask."
        )
    raise errors.UnexpectedReply(
        f"{reply.described}: HTTP {status}. Nothing was stored; check the name asked for. The answer is in the archive "
        f"as {reply.reply_id}."
    )


def retry_after(reply: Reply) -> float | None:
    """Seconds the vendor asks us to wait, None when it does not say.

    Source:
        RFC 9110, section 10.2.3: seconds or an HTTP date.
    """
    text = next((value for name, value in reply.headers.items() if name.lower() == "retry-after"), "")
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max((email.utils.parsedate_to_datetime(text) - reply.retrieved_at).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
