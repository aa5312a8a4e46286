"""What is stored stays whole: crashes, many writers, snapshots, deep pages."""

import concurrent.futures
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from appcrm_sandbox.clock import Clock
from appcrm_sandbox.listing import Lister
from appcrm_sandbox.query import Query
from appcrm_sandbox.schema import CONTACTS
from appcrm_sandbox.settings import Settings
from appcrm_sandbox.store import Store
from appcrm_sandbox.viewer import EVERYONE
from appcrm_sandbox.writing import Writer

COMMAND = [sys.executable, "-c", "from appcrm_sandbox.cli import main; main()"]


@contextlib.contextmanager
def serving(database, *flags):
    """A server in a process of its own; gives the process and the URL."""
    command = [*COMMAND, "serve", "--port", "0", "--database", str(database), *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        assert "serving http://127.0.0.1:" in line, line
        yield process, next(word for word in line.split() if word.startswith("http"))
    finally:
        process.kill()
        process.communicate()


def _session():
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = "Bearer sandbox-token"
    return session


def _create(session, url, number):
    body = {
        "first_name": "Ana",
        "email": f"ana{number}@x.example",
        "phones": [{"number": f"+1 {number}"}],
        "companies": [1],
    }
    return session.post(f"{url}/contacts", json=body, timeout=20).status_code


def test_a_kill_in_the_middle_leaves_a_whole_database_with_every_answered_contact(tmp_path):
    database = tmp_path / "crm.sqlite3"
    answered = []
    with serving(database, "--contacts", "5") as (process, url):

        def write(worker):
            session = _session()
            for number in range(worker * 1000, worker * 1000 + 400):
                if number == 60:
                    os.kill(process.pid, signal.SIGKILL)
                try:
                    if _create(session, url, number) == 201:
                        answered.append(f"ana{number}@x.example")
                except requests.RequestException:
                    return

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        process.wait(10)
    assert len(answered) >= 60
    store = Store(database, Clock())
    with contextlib.closing(store):
        assert store.value("PRAGMA integrity_check") == "ok"
        stored = {row[0] for row in store.rows("SELECT email FROM contacts")}
        assert set(answered) <= stored
        torn = store.value(
            "SELECT count(*) FROM contacts WHERE email LIKE 'ana%@x.example' AND "
            "(id NOT IN (SELECT contact_id FROM phones) OR id NOT IN (SELECT contact_id FROM contact_links))"
        )
        assert torn == 0


def test_two_servers_on_one_file_never_take_an_email_twice(tmp_path):
    database = tmp_path / "crm.sqlite3"
    with serving(database, "--contacts", "5") as (_first, one), serving(database) as (_second, two):
        sessions = [(_session(), one), (_session(), two), (_session(), one), (_session(), two)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda way: [_create(*way, number) for number in range(25)], sessions))
        assert sorted(status for row in statuses for status in row) == [201] * 25 + [422] * 75
        totals = {_session().get(f"{url}/contacts", timeout=10).json()["meta"]["total"] for url in (one, two)}
        assert totals == {30}


def test_a_snapshot_is_served_again_as_it_was(crm, appcrm_sandbox_factory, tmp_path):
    contact_id = crm.new(email="kept@x.example", tags=["vip"])
    copy = crm.sandbox.snapshot(tmp_path / "copy.sqlite3")
    crm.delete(f"/contacts/{contact_id}")
    again = appcrm_sandbox_factory(database=copy, contacts=999, seed=999)
    assert len(again.contacts()) == 26
    assert again.contact(contact_id)["tags"] == ["vip"]
    with pytest.raises(ValueError, match="cannot replace"):
        crm.sandbox.snapshot(crm.sandbox.database)
    with pytest.raises(ValueError, match="cannot be written"):
        crm.sandbox.snapshot(tmp_path / "no" / "folder.sqlite3")


def test_a_snapshot_put_back_undoes_all_that_was_written_since(crm, tmp_path):
    kept = crm.sandbox.snapshot(tmp_path / "kept.sqlite3")
    before = crm.sandbox.contacts(trashed=True)
    crm.new(email="gone@x.example", source_id="Novo", cf_segment="Novo")
    crm.delete("/contacts/1")
    crm.sandbox.declare_field("cf_late", "text")
    crm.sandbox.add_token("late", 2)
    crm.sandbox.restore(kept)
    assert crm.sandbox.contacts(trashed=True) == before
    assert "cf_late" not in crm.get("/contacts/1").json()
    assert "Novo" not in [source["name"] for source in crm.get("/sources", per_page=100).json()["data"]]
    assert crm.call("GET", "/contacts", headers={"Authorization": "Bearer late"}).status_code == 401


def test_what_is_no_snapshot_is_one_sentence_and_changes_nothing(crm, tmp_path):
    before = crm.sandbox.contacts()
    (tmp_path / "text").write_text("no database" * 100)
    with contextlib.closing(sqlite3.connect(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE contacts (id INTEGER)")
    for path in (tmp_path / "text", tmp_path / "other", tmp_path / "none", tmp_path):
        with pytest.raises(ValueError, match=r"^[^\n]*snapshot[^\n]*\.$"):
            crm.sandbox.restore(path)
    with pytest.raises(ValueError, match="path of a snapshot"):
        crm.sandbox.control("POST", "/__control/restore", {"file": "x"})
    assert crm.sandbox.contacts() == before


def test_a_plain_copy_of_a_stopped_database_is_served_again(make_crm, appcrm_sandbox_factory, tmp_path):
    crm = make_crm()
    crm.new(email="kept@x.example")
    crm.sandbox.stop()
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes(crm.sandbox.database.read_bytes())
    assert appcrm_sandbox_factory(database=copy).find("kept@x.example") is not None


def test_an_answered_write_is_in_the_file_for_other_programs(crm):
    crm.new(email="kept@x.example")
    with contextlib.closing(sqlite3.connect(crm.sandbox.database)) as connection:
        assert connection.execute(
            "SELECT count(*) FROM contacts WHERE email = 'kept@x.example'"
        ).fetchone() == (1,)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("page"), st.integers(1, 14), st.sampled_from([3, 5, 10])),
        st.tuples(st.just("delete"), st.integers(1, 40), st.just(0)),
        st.tuples(st.just("touch"), st.integers(1, 40), st.just(0)),
        st.tuples(st.just("forget"), st.integers(1, 40), st.just(0)),
    ),
    min_size=1,
    max_size=30,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Forty contacts to page through."""
    from appcrm_sandbox.seed import seed  # noqa: PLC0415  slow to import where this module is only collected

    held = Store(tmp_path_factory.mktemp("pages") / "crm.sqlite3", Clock())
    seed(held, 40, 1)
    yield held
    held.close()


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, order=st.sampled_from(["id", "updated_at", "first_name"]), down=st.booleans())
def test_a_page_that_is_sought_is_the_page_that_counting_finds(store, steps, order, down):
    store.connection.execute("SAVEPOINT example")
    lister = Lister(store, Settings())
    changes = {
        "delete": "UPDATE contacts SET deleted_at = 'x' WHERE id = ?",
        "touch": "UPDATE contacts SET updated_at = '2026-05-01T00:00:00.000000Z' WHERE id = ?",
        "forget": "UPDATE contacts SET updated_at = NULL WHERE id = ?",
    }
    for turn, (step, number, size) in enumerate(steps, 1):
        if step != "page":
            store.connection.execute(changes[step], [number])
            store._writes += 1  # noqa: SLF001  stands for the commit that a savepoint does not make
            continue
        query = {"order": f"{order}|desc" if down else order, "per_page": str(size), "page": str(number)}
        page = lister.page(CONTACTS, Query(query), EVERYONE)
        assert _counted(store, order, down=down, size=size, number=number, found=page.ids), turn
    store.connection.execute("ROLLBACK TO example")
    store.connection.execute("RELEASE example")


def _counted(store, order, *, down, size, number, found):
    """Whether some tie order gives exactly these rows at this offset."""
    way = "DESC" if down else "ASC"

    def by(tie):
        ordering = f"ORDER BY {order} {way}, {tie} {way} LIMIT {size} OFFSET {(number - 1) * size}"
        rows = store.rows(f"SELECT id FROM contacts WHERE deleted_at IS NULL {ordering}")
        return [row[0] for row in rows]

    return any(found == by(tie) for tie in ("id", "tie_a", "tie_b", "tie_c"))


def _steps(store, ask):
    """How many thousand steps of SQLite's machine an answer takes."""
    taken = [0]

    def count():
        taken[0] += 1
        return 0

    store.connection.set_progress_handler(count, 1000)
    try:
        ask()
    finally:
        store.connection.set_progress_handler(None, 0)
    return taken[0]


@pytest.mark.parametrize("order", ["id", "updated_at", "updated_at|desc", "first_name"])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_middle_of_a_walk_costs_what_its_ends_cost(large, order, backwards):
    lister = Lister(large, Settings())
    pages = range(200, 0, -1) if backwards else range(1, 201)
    steps = [
        _steps(
            large,
            lambda page=page: lister.page(
                CONTACTS, Query({"order": order, "per_page": "100", "page": str(page)}), EVERYONE
            ),
        )
        for page in pages
    ]
    counting = (
        "SELECT id FROM contacts WHERE deleted_at IS NULL AND hidden = 0 ORDER BY id LIMIT 100 OFFSET 10000"
    )
    assert _steps(large, lambda: large.rows(counting)) >= 20
    # The first pages of an order have nothing to be sought from, and count the whole.
    assert max(steps[6:]) <= 12


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Twenty thousand contacts, all but the first updated in the same second."""
    from appcrm_sandbox.seed import seed  # noqa: PLC0415  slow to import where this module is only collected

    held = Store(tmp_path_factory.mktemp("large") / "crm.sqlite3", Clock())
    seed(held, 20_000, 1)
    with held.transaction() as connection:
        connection.execute("UPDATE contacts SET updated_at = '2026-05-01T00:00:00.000000Z' WHERE id > 1")
    yield held
    held.close()


def test_a_failed_write_leaves_nothing_half_done(store):
    writer = Writer(store, Settings())
    before = store.value("SELECT count(*) FROM phones")
    body = {"first_name": "Ana", "phones": [{"number": "+9"}], "cf_loyalty_points": 2**40}
    with pytest.raises(Exception, match="500"):
        writer.create(CONTACTS, body)
    assert store.value("SELECT count(*) FROM phones") == before
