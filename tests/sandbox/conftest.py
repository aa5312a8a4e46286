"""A client for the sandbox's tests: plain requests, nothing of the connectors."""

import itertools

import pytest
import requests


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

    def stamp(self, contact_id):
        return self.sandbox.contact(contact_id)["updated_at"]


@pytest.fixture
def crm(appcrm_sandbox):
    """A CRM of 25 contacts whose clock stands still well after the seeded rows."""
    appcrm_sandbox.set_clock("2026-06-01T08:00:00Z")
    return Crm(appcrm_sandbox)


@pytest.fixture
def make_crm(appcrm_sandbox_factory):
    """CRMs of another size or with other switches."""
    return lambda **given: Crm(appcrm_sandbox_factory(**given))
