"""What Meltano makes of a connector that fails: an exit code, a true state, and a next run that ends the work."""

from __future__ import annotations

import json

import pytest

FOREIGN_IDS = dict.fromkeys(("user_id", "source_id", "country_id"), "__NULL__")
COPY = ("run", "tap-appcrm", "target-appcrm")
PIPELINE = "tap-appcrm-to-target-appcrm"


@pytest.fixture
def crms(appcrm_sandbox_factory):
    """A CRM to copy from and an empty one to copy to."""
    return appcrm_sandbox_factory(contacts=130), appcrm_sandbox_factory(contacts=0)


@pytest.fixture
def settings(crms, address, tmp_path):
    old, new = crms
    return {
        **address("TAP", old),
        **address("TARGET", new),
        "TARGET_APPCRM_REJECTS_PATH": str(tmp_path / "rejects.singer.jsonl"),
        "TARGET_APPCRM_RECEIPTS_PATH": str(tmp_path / "receipts.singer.jsonl"),
        # Ids of companies and users mean nothing in another CRM, and who has no e-mail cannot be found there again.
        "TARGET_APPCRM_ASSOCIATIONS": "ignore",
        "TARGET_APPCRM_STREAM_MAPS": json.dumps({"contacts": {"__filter__": "bool(email)", **FOREIGN_IDS}}),
    }


def emails(crm):
    return sorted(contact["email"] for contact in crm.contacts() if contact["email"])


def test_a_wrong_token_fails_the_run_says_so_and_leaves_no_state(meltano, crms, settings):
    done = meltano.try_(*COPY, **settings | {"TARGET_APPCRM_AUTH_TOKEN": "no such token"})
    assert done.returncode != 0
    assert "auth_token" in done.stderr
    assert "no such token" not in done.stdout + done.stderr
    assert not meltano.state(PIPELINE)
    assert crms[1].contacts() == []


def test_a_read_that_breaks_off_fails_the_run_and_the_next_one_ends_it(meltano, crms, settings):
    old, new = crms
    old.faults({"operation": "list", "after": 3, "status": 503})
    done = meltano.try_(*COPY, **settings, TAP_APPCRM_MAX_TRIES="2", TAP_APPCRM_PAGE_SIZE="20")
    assert done.returncode != 0
    assert len(emails(new)) < len(emails(old))
    old.clear_faults()
    meltano(*COPY, **settings)
    assert emails(new) == emails(old)


def test_a_refused_record_fails_the_run_but_is_kept_and_can_be_sent_again(meltano, crms, settings, tmp_path):
    old, new = crms
    new.faults({"operation": "create", "nth": 3, "status": 422})
    done = meltano.try_(*COPY, **settings)
    assert done.returncode != 0
    assert len(emails(new)) == len(emails(old)) - 1
    assert meltano.state(PIPELINE)["bookmarks"]["contacts"]["replication_key_value"]

    new.reset_log()
    with (tmp_path / "rejects.singer.jsonl").open() as rejects:
        meltano("invoke", "target-appcrm", stdin=rejects, **settings)
    assert emails(new) == emails(old)
    assert new.counts()["operations"]["create"] == 1
