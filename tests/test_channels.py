"""Messages arrive where they are sent, over real HTTP; a refusal is an error that tells no secret."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from reports import channels
from reports.alerts import Message
from warehouse import errors

MESSAGE = Message("Daybook 2026-11-20: a day is missing", "What to do.", "high")
SECRET = "s3cret-path-0815"


@pytest.fixture
def webhook():
    """A web server that keeps what is posted to it, and answers with `status`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.posted, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address_of(server):
    return f"json://127.0.0.1:{server.server_address[1]}/{SECRET}"


def test_webhook_receives_title_body_and_severity(webhook):
    channels.AppriseChannel([address_of(webhook)]).send(MESSAGE)

    assert len(webhook.posted) == 1
    assert webhook.posted[0]["title"] == MESSAGE.title
    assert webhook.posted[0]["message"] == MESSAGE.body
    assert webhook.posted[0]["type"] == "failure"


def test_every_address_is_tried_when_one_of_them_refuses(webhook):
    dead = f"json://127.0.0.1:1/{SECRET}"

    with pytest.raises(errors.VendorUnavailable) as caught:
        channels.AppriseChannel([dead, address_of(webhook)]).send(MESSAGE)

    assert len(webhook.posted) == 1
    assert "json://***" in str(caught.value) and SECRET not in str(caught.value)


def test_refusal_by_the_service_is_an_error_when_it_answers_500(webhook):
    webhook.status = 500

    with pytest.raises(errors.VendorUnavailable, match="was not taken"):
        channels.AppriseChannel([address_of(webhook)]).send(MESSAGE)


def test_address_unknown_to_apprise_is_a_setting_error_without_the_secret():
    with pytest.raises(errors.ConfigError) as caught:
        channels.AppriseChannel([f"nosuchservice://{SECRET}"]).send(MESSAGE)

    assert SECRET not in str(caught.value)


def test_channel_shows_no_secret_when_printed():
    channel = channels.AppriseChannel([f"slack://{SECRET}"])

    assert SECRET not in repr(channel)


def test_file_keeps_one_line_per_message(tmp_path):
    channel = channels.FileChannel(tmp_path / "new" / "alerts.jsonl")

    channel.send(MESSAGE)
    channel.send(MESSAGE)

    lines = (tmp_path / "new" / "alerts.jsonl").read_text().splitlines()
    assert [json.loads(line)["title"] for line in lines] == [MESSAGE.title] * 2


def test_file_that_cannot_be_written_is_a_setting_error(tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(errors.ConfigError, match="taken"):
        channels.FileChannel(tmp_path / "taken" / "alerts.jsonl").send(MESSAGE)
