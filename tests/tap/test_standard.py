"""The SDK's standard tests of a tap, all of them, against the sandbox."""

import pytest
from running import choose, discover
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from appcrm_sandbox.testing import start
from tap_appcrm.settings import STREAM_ORDER
from tap_appcrm.tap import TapAppcrm

CONFIG = {
    # The class is made when tests are collected, before there is a server; nothing is sampled, so nothing is asked.
    "api_url": "http://127.0.0.1:9/api",
    "auth_token": "set-by-the-fixture",
    "custom_fields_sample_pages": 0,
    "custom_fields": {
        "cf_newsletter": {"type": "boolean"},
        "cf_last_visit_at": {"type": "string", "format": "date-time"},
    },
}


@pytest.fixture(scope="module", autouse=True)
def _served(tmp_path_factory):
    sandbox = start(tmp_path_factory.mktemp("standard") / "crm.sqlite3", contacts=120, seed=2)
    CONFIG.update(api_url=sandbox.url, auth_token=sandbox.token)
    yield
    sandbox.stop()


TestStandard = get_tap_test_class(
    TapAppcrm,
    config=CONFIG,
    suite_config=SuiteConfig(max_records_limit=None),
    parse_env_config=False,
    catalog=choose(discover(CONFIG), *STREAM_ORDER),
)
