"""What Prefect's processes are told, read by Prefect itself: a name it does not know is passed over in silence."""

from __future__ import annotations

import prefect.settings
import pytest

from flows import serving, settings


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Prefect's settings in a process with the variables of its server."""
    monkeypatch.chdir(tmp_path)
    options = settings.read_settings(home=tmp_path, _env_file=None)
    for name, value in serving.server_environment(options).items():
        monkeypatch.setenv(name, value)
    return prefect.settings.Settings()


def test_momentary_trouble_of_the_servers_database_is_waited_out(told):
    assert told.client.retry_extra_codes == {500}
    assert (told.server.database.connection_timeout, told.server.database.timeout) == (60, 60)


def test_prefect_tells_nobody_of_itself(told):
    assert told.server.analytics_enabled is False
