"""The reports over HTTP, and beside them what a monitor asks for.

`/healthz` says that the process lives, `/readyz` whether tonight's work can be done, `/metrics` how the desk is, in
Prometheus' text format. Partners: `flows/metrics.py`, `flows/serving.py`.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import logging
import threading
from collections.abc import Iterator

from flows import metrics, serving, settings

log = logging.getLogger(__name__)

PLAIN = "text/plain; charset=utf-8"


@contextlib.contextmanager
def report_server(options: settings.Settings) -> Iterator[str]:
    """The reports' folder over HTTP; its address on this machine.

    Raises:
        ConfigError: the port is taken, or there is no folder and none can be made.
    """
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
            text = "\n".join(reasons) or "ready"
            self._say(503 if reasons else 200, f"{text}\n".encode(), PLAIN)
        elif self.path == "/metrics":
            self._say(200, metrics.prometheus_text(self.server.options), metrics.CONTENT_TYPE)
        else:
            super().do_GET()

    def _say(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log a request instead of printing it."""
        log.debug("report request " + format, *args)
