"""Every fault in the middle of both walks: a complete read, or an error and a state that loses nothing."""

import pytest
from running import choose, config_of, discover, run

from appcrm.errors import ApiError, AppcrmError

CONTACTS = 650

PASSING = {
    "too many requests": {"status": 429, "retry_after": 0},
    "too many requests without a word": {"status": 429},
    "a server error in HTML": {"status": 500},
    "a gateway's error": {"status": 502},
    "maintenance": {"status": 503, "retry_after": 0},
    "a reset": {"reset": "before_commit"},
    "a body cut off": {"cut": "body"},
    "a connection cut off": {"cut": "connection"},
    "a body that is no JSON": {"cut": "malformed"},
    "a smaller page size": {"per_page": 15},
    "contacts deleted": {"mutate": {"delete": [3, 150, 640]}},
    "contacts inserted": {"mutate": {"insert": [{"first_name": "Nova"}]}},
    "contacts touched": {"mutate": {"touch": [2, 333, 648]}},
}
LASTING = {
    "a revoked token": {"status": 401},
    "a permission taken away": {"status": 403},
    "an address gone": {"status": 404},
    "a server that stays down": {"status": 500},
    "a line that stays down": {"reset": "before_commit"},
}


@pytest.fixture
def sandbox(appcrm_sandbox_factory):
    return appcrm_sandbox_factory(contacts=CONTACTS, seed=5)


def alive(sandbox):
    return {row["id"]: row["updated_at"] for row in sandbox.contacts()}


def newest(outputs):
    """The last version of each contact that the runs emitted."""
    return {record["id"]: record["updated_at"] for output in outputs for record in output.records()}


def holds_all(sandbox, outputs):
    emitted = newest(outputs)
    return all(
        contact_id in emitted and emitted[contact_id][:19] == stamp.replace(" ", "T")[:19]
        for contact_id, stamp in alive(sandbox).items()
    )


@pytest.mark.parametrize("nth", [1, 4, 8])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_backfill_gets_over(sandbox, fault, nth):
    config = config_of(sandbox)
    catalog = choose(discover(config), "contacts")
    sandbox.faults({"operation": "list", "nth": nth, **fault})
    first = run(config, catalog=catalog)
    assert [rule["fired"] for rule in sandbox.faults()] == [1]
    second = run(config, catalog=catalog, state=first.state)
    assert holds_all(sandbox, [first, second])


@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_an_incremental_read_gets_over(sandbox, fault, nth):
    config = config_of(sandbox)
    catalog = choose(discover(config), "contacts")
    first = run(config, catalog=catalog)
    sandbox.mutate(touch=list(range(100, 400)))
    sandbox.faults({"operation": "list", "nth": nth, **fault})
    second = run(config, catalog=catalog, state=first.state)
    assert [rule["fired"] for rule in sandbox.faults()] == [1]
    third = run(config, catalog=catalog, state=second.state)
    assert holds_all(sandbox, [first, second, third])


@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_what_lasts_is_an_error_and_no_gap(sandbox, fault, after):
    config = config_of(sandbox, max_tries=2)
    catalog = choose(discover(config), "contacts")
    sandbox.faults({"operation": "list", "after": after, **fault})
    first = run(config, catalog=catalog, fails=ApiError)
    assert isinstance(first.error, AppcrmError)
    sandbox.clear_faults()
    second = run(config, catalog=catalog, state=first.state)
    assert holds_all(sandbox, [first, second])


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_what_lasts_leaves_the_bookmark_of_an_incremental_read(sandbox, fault, after):
    config = config_of(sandbox, max_tries=2)
    catalog = choose(discover(config), "contacts")
    first = run(config, catalog=catalog)
    sandbox.mutate(touch=list(range(100, 400)))
    sandbox.faults({"operation": "list", "after": after, **fault})
    second = run(config, catalog=catalog, state=first.state, fails=ApiError)
    assert second.error is not None
    assert _bookmark(second.state) == _bookmark(first.state)
    sandbox.clear_faults()
    third = run(config, catalog=catalog, state=second.state)
    assert holds_all(sandbox, [first, second, third])


def _bookmark(state):
    return state["bookmarks"]["contacts"]["replication_key_value"]


@pytest.mark.parametrize("envelope", ["standard", "flat", "wrapped", "bare", "unpaged"])
@pytest.mark.parametrize("timestamps", ["iso", "seconds", "offset", "sql"])
def test_every_form_of_answer_is_read(appcrm_sandbox_factory, envelope, timestamps):
    sandbox = appcrm_sandbox_factory(contacts=130, envelope=envelope, timestamps=timestamps)
    config = config_of(sandbox)
    catalog = choose(discover(config), "contacts")
    first = run(config, catalog=catalog)
    assert sorted(first.ids()) == sorted(alive(sandbox))
    sandbox.mutate(touch=[7])
    assert 7 in run(config, catalog=catalog, state=first.state).ids()


@pytest.mark.parametrize("switch", ["refused", "failing"])
def test_an_order_that_the_server_refuses_costs_requests_and_no_contact(appcrm_sandbox_factory, switch):
    sandbox = appcrm_sandbox_factory(contacts=230, order_updated_at=switch)
    config = config_of(sandbox)
    catalog = choose(discover(config), "contacts")
    first = run(config, catalog=catalog)
    assert sorted(first.ids()) == sorted(alive(sandbox))
    sandbox.mutate(touch=[7])
    second = run(config, catalog=catalog, state=first.state)
    assert 7 in second.ids()
    assert len(second.ids()) < 10, "filtered here"


def test_a_page_size_that_is_not_honoured_is_noticed(appcrm_sandbox_factory):
    sandbox = appcrm_sandbox_factory(contacts=130, fixed_per_page=15)
    config = config_of(sandbox)
    assert sorted(run(config, catalog=choose(discover(config), "contacts")).ids()) == sorted(alive(sandbox))
