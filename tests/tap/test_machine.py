"""The tap against a CRM that changes between any two requests, and against being killed at any of them."""

import json

import pytest
from fake_crm import FakeCrm, InlineWorkers, Killed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_appcrm.backfill import Checkpoint
from tap_appcrm.deletes import Gone
from tap_appcrm.position import StreamState
from tap_appcrm.reading import Reading
from tap_appcrm.run import Run, Unproven
from tap_appcrm.settings import TapSettings

CHANGES = ("insert", "delete", "touch", "restore")
MOST_IN_ONE_GAP = 2


def settings_of(**given):
    return TapSettings.from_config({"lookback_seconds": 0, **given})


class Crowd(RuleBasedStateMachine):
    """Whatever happens, one more run later every surviving contact's newest version has been emitted."""

    detect_deletes = False

    @initialize(contacts=st.integers(0, 20), seconds=st.integers(0, 1), page_size=st.integers(1, 4))
    def begin(self, contacts, seconds, page_size):
        self.crm = FakeCrm(page_size=page_size)
        for _ in range(contacts):
            self.crm.insert()
            self.crm.tick(seconds)
        self.emitted = {}
        self.gone = set()
        self.state = {}

    @rule(data=st.data())
    def change(self, data):
        self._change(data, CHANGES)

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds):
        self.crm.tick(seconds)

    @rule(data=st.data(), concurrency=st.integers(1, 4), busy=st.booleans(), killed=st.booleans())
    def run_once(self, data, concurrency, busy, killed):
        left = data.draw(st.integers(0, 30)) if killed else None

        def before_request():
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Killed
            if busy:
                self.crm.tick(data.draw(st.integers(0, 1)))
                # A delete and a restore between the same two requests leave no trace in any total.
                kinds = data.draw(st.sampled_from([("insert", "delete", "touch"), ("insert", "touch", "restore")]))
                for _ in range(data.draw(st.integers(0, MOST_IN_ONE_GAP))):
                    self._change(data, kinds)

        self.crm.before_request = before_request
        self.crm.shuffle = lambda ids: data.draw(st.permutations(ids)) if ids else ids
        pick = lambda count: data.draw(st.integers(0, count - 1))  # noqa: E731  as a call would read
        try:
            self._read(InlineWorkers(concurrency, pick), saves=lambda: data.draw(st.booleans()))
        except (Killed, Unproven):
            pass
        finally:
            self.crm.before_request = lambda: None
            self.crm.shuffle = lambda ids: ids

    def _change(self, data, kinds):
        kind = data.draw(st.sampled_from(kinds))
        if kind == "insert":
            self.crm.insert()
        elif kind == "restore" and self.crm.trash:
            self.crm.restore(data.draw(st.sampled_from(sorted(self.crm.trash))))
        elif kind in ("delete", "touch") and self.crm.alive:
            getattr(self.crm, kind)(data.draw(st.sampled_from(sorted(self.crm.alive))))

    def _read(self, workers, saves):
        """Run the tap; what is in ``self.state`` is its last STATE, whatever happens."""
        run = Run("contacts", self.crm, workers, self.crm.page_size)
        state = StreamState.parse("contacts", self.state)
        reading = Reading(run, settings_of(detect_deletes=self.detect_deletes), state)
        for step in reading.steps():
            if isinstance(step, Gone):
                self.gone.update(step.ids)
            elif not isinstance(step, Checkpoint):
                for row in step.rows:
                    self.emitted[row["id"]] = row["revision"]
                    self.gone.discard(row["id"])
            elif saves():
                reading.save()
                self._write(state)
        self._write(state)
        return run

    def _write(self, state):
        self.state = json.loads(json.dumps(state.dump()))

    def teardown(self):
        if not hasattr(self, "crm"):
            return
        self._read(InlineWorkers(), saves=lambda: False)
        alive = {contact_id: row["revision"] for contact_id, row in self.crm.alive.items()}
        assert alive == {contact_id: self.emitted.get(contact_id) for contact_id in alive}
        if self.detect_deletes:
            dead = (self.emitted.keys() & self.crm.trash.keys()) - self.crm.alive.keys()
            assert dead <= self.gone


class CrowdWithDeletes(Crowd):
    """The same, and every contact that was emitted and is gone is told so."""

    detect_deletes = True


class BareCrowd(Crowd):
    """The same against a server that tells neither counts nor its time."""

    @initialize(contacts=st.integers(0, 20), seconds=st.integers(0, 1), page_size=st.integers(1, 4))
    def begin(self, contacts, seconds, page_size):
        super().begin(contacts=contacts, seconds=seconds, page_size=page_size)
        self.crm.tells_totals = self.crm.tells_time = False


@pytest.mark.parametrize("machine", [Crowd, CrowdWithDeletes])
def test_one_more_run_has_every_survivors_newest_version(machine):
    case = machine.TestCase
    case.settings = settings(
        max_examples=200, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case("runTest").runTest()
