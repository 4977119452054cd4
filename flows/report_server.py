"""The reports over HTTP, and beside them what a monitor asks for.

`/healthz` says that the process lives, `/readyz` whether tonight's work can be done, `/metrics` how the desk is, in
Prometheus' text format. With `DAYBOOK__REPORTS_AUTH` all but the first ask for user and password, and `/readyz` says
why not only to those who have them. Partners: `flows/metrics.py`, `flows/serving.py`.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hmac
import http.server
import logging
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from flows import metrics, serving, settings

log = logging.getLogger(__name__)

PLAIN = "text/plain; charset=utf-8"
NOTHING_MORE: Mapping[str, str] = MappingProxyType({})


@contextlib.contextmanager
def report_server(options: settings.Settings) -> Iterator[str]:
    """The reports' folder over HTTP; its address on this machine.

    Raises:
        ConfigError: the port is taken, anybody could enter, or there is no folder and none can be made.
    """
    options.refuse_open("the report server", "DAYBOOK__REPORTS_AUTH")
    serving.refuse_taken(options.reports_port, "DAYBOOK__REPORTS_PORT")
    serving.make_folder(options.reports_path)
    server = _ReportServer(options)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{options.reports_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _ReportServer(http.server.ThreadingHTTPServer):
    """The reports' folder, and beside it what monitors ask for."""

    def __init__(self, options: settings.Settings) -> None:
        self.options = options
        handler = functools.partial(_ReportHandler, directory=str(options.reports_path))
        super().__init__((options.serve_host, options.reports_port), handler)


class _ReportHandler(http.server.SimpleHTTPRequestHandler):
    server: _ReportServer

    def do_GET(self) -> None:
        """Answer a monitor's question, or hand out a file."""
        if self.path == "/healthz":
            self._say(200, b"ok\n", PLAIN)
        elif self.path == "/readyz":
            reasons = metrics.why_not_ready(self.server.options)
            told = reasons if self._is_let_in() else ["not ready"] if reasons else []
            text = "\n".join(told) or "ready"
            self._say(503 if reasons else 200, f"{text}\n".encode(), PLAIN)
        elif not self._is_let_in():
            self._refuse()
        elif self.path == "/metrics":
            self._say(200, metrics.prometheus_text(self.server.options), metrics.CONTENT_TYPE)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer as to GET, without the file."""
        if self._is_let_in():
            super().do_HEAD()
        else:
            self._refuse()

    def _is_let_in(self) -> bool:
        """Whether whoever asks has the user and password, where there are any (RFC 7617)."""
        wanted = self.server.options.reports_auth
        if wanted is None:
            return True
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        try:
            told = base64.b64decode(given, validate=True)
        except ValueError:
            told = b""
        # In a time that does not tell how much of it is right.
        is_same = hmac.compare_digest(told, wanted.get_secret_value().encode())
        return is_same and scheme.lower() == "basic"

    def _refuse(self) -> None:
        self.close_connection = True
        self._say(401, b"a user and a password, please\n", PLAIN, {"WWW-Authenticate": 'Basic realm="daybook"'})

    def _say(self, status: int, body: bytes, content_type: str, more: Mapping[str, str] = NOTHING_MORE) -> None:
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log a request instead of printing it."""
        log.debug("report request " + format, *args)
