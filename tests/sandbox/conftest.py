"""A client for the sandbox's tests: plain requests, nothing of the connectors."""

import itertools

import pytest
import requests

from appcrm_sandbox.app_version import NEWEST
from appcrm_sandbox.testing import start

NOW, LATER = "2026-06-01T08:00:00.000000Z", "2026-06-01T09:30:00.000000Z"


class Crm:
    """One sandbox and a session that speaks to its API."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(
            {"Authorization": f"Bearer {sandbox.token}", "Accept": "application/json"}
        )

    def call(self, method, path, **given):
        return self.session.request(method, self.sandbox.url + path, timeout=20, **given)

    def get(self, path, **query):
        return self.call("GET", path, params=query)

    def post(self, path, **body):
        return self.call("POST", path, json=body)

    def put(self, path, **body):
        return self.call("PUT", path, json=body)

    def delete(self, path, **body):
        return self.call("DELETE", path, json=body or None)

    def ids(self, **query):
        """The ids of one list page."""
        return [row["id"] for row in self.get("/contacts", **query).json()["data"]]

    def walk(self, **query):
        """The ids of every page, in the order in which they came."""
        found = []
        for page in itertools.count(1):
            ids = self.ids(page=page, **query)
            if not ids:
                return found
            found += ids
        return found

    def new(self, **body):
        """A new contact's id."""
        answer = self.post("/contacts", **{"first_name": "Ana", **body})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def change(self, contact_id, **body):
        """What a contact is after a PUT, its first name sent along because AppCRM 1.1 asks for it."""
        answer = self.put(f"/contacts/{contact_id}", **{"first_name": "Ana", **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, **body):
        """The fields that a create of a contact is refused for with a 422."""
        answer = self.post("/contacts", **{"first_name": "Ana", **body})
        assert answer.status_code == 422, answer.text
        assert set(answer.json()) == {"message", "errors"}
        return list(answer.json()["errors"])

    def stamp(self, contact_id):
        return self.sandbox.contact(contact_id)["updated_at"]

    def options(self, name):
        """Label → id of a custom field's options."""
        fields = self.sandbox.control("GET", "/__control/fields")
        return {
            option["name"]: option["id"]
            for field in fields
            if field["name"] == name
            for option in field["options"]
        }


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One server for all tests, a snapshot of its 25 contacts, and its switches as at the start."""
    folder = tmp_path_factory.mktemp("crm")
    sandbox = start(folder / "crm.sqlite3")
    yield sandbox, sandbox.snapshot(folder / "first.sqlite3"), sandbox.settings()
    sandbox.stop()


def _as_new(shared, **switches):
    """The shared server as if it had just been started with these switches."""
    sandbox, first, before = shared
    sandbox.clear_faults()
    sandbox.restore(first)
    sandbox.set_clock(None)
    sandbox.settings(**{**before, **switches})
    sandbox.reset_log()
    return Crm(sandbox)


@pytest.fixture
def crm(request, shared):
    """A CRM of 25 contacts whose clock stands still well after the seeded rows.

    What all versions do alike is tried on one of them: the module's APP_VERSION, else the newest.
    """
    crm = _as_new(shared, app_version=getattr(request.module, "APP_VERSION", NEWEST))
    crm.sandbox.set_clock(NOW)
    return crm


@pytest.fixture
def with_switches(shared):
    """The same CRM with other switches, its clock running; the fixture `crm` and this one are one server."""
    return lambda **switches: _as_new(shared, **switches)


@pytest.fixture
def address():
    """Addresses that no other test has."""
    return lambda: f"p{next(_NUMBERS)}@x.example"


@pytest.fixture
def number():
    """Phone numbers without a prefix that no other test has."""
    return lambda: f"11 9{next(_NUMBERS):07}"


_NUMBERS = itertools.count(1)


@pytest.fixture
def make_crm(appcrm_sandbox_factory):
    """CRMs of another size, each on a server of its own."""
    return lambda **given: Crm(appcrm_sandbox_factory(**given))
