"""Messages arrive where they are sent, over real HTTP and SMTP; a refusal is an error that tells no secret."""

from __future__ import annotations

import dataclasses
import email.policy
import logging
from datetime import date

import numpy as np
import pytest

from reports import channels, charts, mail
from reports.alerts import Message
from reports.blocks import Figure, Note, Section
from warehouse import errors

MESSAGE = Message("Daybook 2026-11-20: a day is missing", "What to do.", "high", "0123456789abcdef")
SECRET = "s3cret-path-0815"
PEOPLE = "from=daybook@desk.example&to=quant@desk.example,risk@desk.example"


def hook_at(port):
    return channels.open_channel("json-1", f"json://127.0.0.1:{port}/{SECRET}")


def mail_at(port, query=PEOPLE):
    return channels.open_channel("mailto-1", f"mailto://127.0.0.1:{port}?{query}&mode=insecure")


def test_webhook_receives_title_body_severity_and_identity(webhook):
    hook_at(webhook.port).send(MESSAGE)

    ((headers, posted),) = webhook.taken
    assert (posted["title"], posted["message"]) == (MESSAGE.title, MESSAGE.body)
    assert posted["type"] == "failure"
    assert headers["Idempotency-Key"] == MESSAGE.message_id


def test_mail_is_one_for_all_recipients_and_every_try_has_the_same_identity(mail_server):
    channel = mail_at(mail_server.port)
    channel.send(MESSAGE)
    channel.send(MESSAGE)

    first, second = mail_server.taken
    assert (first["Subject"], first.get_content().strip()) == (MESSAGE.title, MESSAGE.body)
    assert first["To"] == "quant@desk.example, risk@desk.example"
    assert first.get_all("Message-ID") == ["<0123456789abcdef@daybook.invalid>"] == second.get_all("Message-ID")


@pytest.fixture
def report(tmp_path):
    """A day's report as a mail."""
    line = charts.line_chart(["2026-11-20"], [charts.Line("up", np.array([0.5]))], label="Breadth", write=str)
    shown = (Note("Alles da, 平安"), Figure("Breadth", line, "Share."))
    path = tmp_path / "2026-11-20.eml"
    path.write_bytes(
        mail.compose(
            [Section("overview", "Today", shown)],
            trace={"run_id": "daily/2026-11-20", "snapshot": 12, "code_version": "2026.1"},
            as_of=date(2026, 11, 20),
            up_colour="red",
        )
    )
    return path


def with_report(path):
    return dataclasses.replace(MESSAGE, report=path)


def test_mail_carries_the_report_whole_and_the_alerts_as_text(mail_server, report):
    mail_at(mail_server.port).send(with_report(report))

    (taken,) = mail_server.taken
    assert taken.get_body(("plain",)).get_content().strip() == MESSAGE.body
    (attached,) = taken.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == ("message/rfc822", "daybook-2026-11-20.eml")
    # Lines end in the same signs on both sides once the mail is read.
    lines = report.read_bytes().splitlines()
    sent = attached.get_content().as_bytes(policy=email.policy.SMTP).splitlines()
    assert sent == lines


def test_mail_server_that_refuses_the_report_gets_the_alerts_alone_and_once(mail_server, report):
    mail_server.most_bytes = 800
    mail_at(mail_server.port).send(with_report(report))

    (taken,) = mail_server.taken
    assert taken.get_content().strip() == MESSAGE.body
    assert taken["Message-ID"] == "<0123456789abcdef@daybook.invalid>"


def test_mail_server_that_is_busy_is_not_asked_again_without_the_report(mail_server, report):
    mail_server.refuse_every = 1

    with pytest.raises(errors.VendorUnavailable, match="451"):
        mail_at(mail_server.port).send(with_report(report))

    assert mail_server.n_handed == 1


def test_message_whose_report_is_gone_goes_without_it(mail_server, tmp_path):
    mail_at(mail_server.port).send(with_report(tmp_path / "gone.eml"))

    assert mail_server.taken[0].get_content().strip() == MESSAGE.body


def test_mail_with_chinese_names_and_a_line_break_in_its_title_arrives_whole(mail_server):
    mail_at(mail_server.port).send(Message("平安银行\nBcc: all@desk.example", "跌停 -9.98 %", "low"))

    (mail,) = mail_server.taken
    assert mail["Subject"] == "平安银行 Bcc: all@desk.example" and mail["Bcc"] is None
    assert mail.get_content().strip() == "跌停 -9.98 %"


def test_refusal_by_the_service_is_an_error_that_names_its_answer(webhook, mail_server):
    webhook.refuse_every = mail_server.refuse_every = 1

    with pytest.raises(errors.VendorUnavailable, match="json-1 did not take the message: the service answered 503"):
        hook_at(webhook.port).send(MESSAGE)
    with pytest.raises(errors.VendorUnavailable, match=r"mailto-1 .* the mail server answered 451"):
        mail_at(mail_server.port).send(MESSAGE)


@pytest.mark.parametrize("address", ["json://127.0.0.1:1/{}", "mailto://user:{}@127.0.0.1:1?" + PEOPLE])
def test_no_secret_is_in_error_or_log_when_nobody_answers(address, caplog):
    caplog.set_level(logging.DEBUG)
    channel = channels.open_channel("x-1", address.format(SECRET))

    with pytest.raises(errors.VendorUnavailable) as caught:
        channel.send(MESSAGE)

    assert SECRET not in str(caught.value) + caplog.text + repr(channel)
    assert caught.value.__cause__ is None


def test_no_secret_is_in_the_log_when_a_message_is_taken(webhook, caplog):
    """Apprise logs the whole address, urllib3 the path."""
    caplog.set_level(logging.DEBUG)

    hook_at(webhook.port).send(MESSAGE)

    assert "sent message=0123456789abcdef channel=json-1" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("address", [f"nosuchservice://{SECRET}", SECRET, "", f"mailto://{SECRET}"])
def test_address_unknown_to_apprise_is_a_setting_error_without_the_secret(address, caplog):
    caplog.set_level(logging.DEBUG)

    with pytest.raises(errors.ConfigError, match="channel x-1 has no address that Apprise knows") as caught:
        channels.open_channel("x-1", address)

    assert SECRET not in str(caught.value) + caplog.text


def test_channels_are_named_by_scheme_and_place():
    addresses = ["mailto://a", "json://b", "mailto://c", f"{SECRET}", f"{SECRET}!://d"]

    assert list(channels.named(addresses)) == ["mailto-1", "json-1", "mailto-2", "unreadable-1", "unreadable-2"]
