"""The tap against a CRM that changes between any two requests, and against being killed at any of them."""

import json
import random

import pytest
from fake_crm import FakeCrm, InlineWorkers, Killed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tap_appcrm.replication.backfill import Checkpoint
from tap_appcrm.replication.deletes import Gone
from tap_appcrm.replication.read_context import IncompleteRead, ReadContext
from tap_appcrm.replication.replication import Replication
from tap_appcrm.settings import TapSettings
from tap_appcrm.state import StreamState

CHANGES = ("insert", "delete", "touch", "restore")
WITHOUT_RESTORE = ("insert", "delete", "touch")
WITHOUT_DELETE = ("insert", "touch", "restore")
MOST_IN_ONE_GAP = 2


def settings_of(**given):
    return TapSettings.from_config({"lookback_seconds": 0, **given})


class Crowd(RuleBasedStateMachine):
    """Whatever happens, one more run later every surviving contact's newest version has been emitted."""

    detect_deletes = False
    # A delete and a restore between the same two requests leave no trace in any total.
    within_one_gap = (WITHOUT_RESTORE, WITHOUT_DELETE)

    @initialize(contacts=st.integers(0, 20), seconds=st.integers(0, 1), page_size=st.integers(1, 4))
    def begin(self, contacts, seconds, page_size):
        self.crm = FakeCrm(page_size=page_size)
        for _ in range(contacts):
            self.crm.insert()
            self.crm.tick(seconds)
        self.emitted = {}
        self.gone = set()
        self.vouched = set()
        self.state = {}

    @rule(data=st.data())
    def change(self, data):
        self._change(data, CHANGES)

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds):
        self.crm.tick(seconds)

    @rule(
        data=st.data(),
        concurrency=st.integers(1, 4),
        busy=st.booleans(),
        ended_by=st.sampled_from([None, "SIGKILL", "SIGTERM"]),
    )
    def run_once(self, data, concurrency, busy, ended_by):
        left = data.draw(st.integers(0, 30)) if ended_by else None

        def before_request():
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Killed
            if busy:
                self.crm.tick(data.draw(st.integers(0, 1)))
                kinds = data.draw(st.sampled_from(self.within_one_gap))
                for _ in range(data.draw(st.integers(0, MOST_IN_ONE_GAP))):
                    self._change(data, kinds)

        self.crm.before_request = before_request
        chance = random.Random(data.draw(st.integers(0, 1000)))  # noqa: S311  not for secrets
        self.crm.shuffle = lambda ids: chance.sample(ids, len(ids))
        try:
            self._read(
                InlineWorkers(concurrency, chance.randrange),
                saves=lambda: chance.random() < 0.5,
                saves_at_last=ended_by != "SIGKILL",
            )
        except (Killed, IncompleteRead):
            pass
        finally:
            self.crm.before_request = lambda: None
            self.crm.shuffle = lambda ids: ids

    def _change(self, data, kinds):
        kind = data.draw(st.sampled_from(kinds))
        self.crm.requests.append((kind, sorted(self.crm.alive)))
        if kind == "insert":
            self.crm.insert()
        elif kind == "restore" and self.crm.trash:
            self.crm.restore(data.draw(st.sampled_from(sorted(self.crm.trash))))
        elif kind in ("delete", "touch") and self.crm.alive:
            getattr(self.crm, kind)(data.draw(st.sampled_from(sorted(self.crm.alive))))

    def _read(self, workers, saves, *, saves_at_last=True):
        """Run the tap; what is in ``self.state`` is its last STATE, whatever happens."""
        self.emitted_now = set()
        self.crm.workers = workers
        context = ReadContext("contacts", self.crm, self.crm.page_size)
        state = StreamState.parse("contacts", self.state)
        reading = Replication(
            context, settings_of(detect_deletes=self.detect_deletes, max_shrink="100%"), state
        )
        state = reading.state
        try:
            for step in reading.steps():
                if isinstance(step, Gone):
                    self.gone.update(step.ids)
                elif not isinstance(step, Checkpoint):
                    for row in step.rows:
                        self.emitted[row["id"]] = row["revision"]
                        self.emitted_now.add(row["id"])
                        self.gone.discard(row["id"])
                elif saves():
                    reading.save()
                    self._write(state)
        except (Killed, IncompleteRead):
            if saves_at_last:
                reading.save()
                self._write(state)
            raise
        self._write(state)

    def _write(self, state):
        self.vouched |= self.emitted_now
        self.state = json.loads(json.dumps(state.dump()))

    def teardown(self):
        if not hasattr(self, "crm"):
            return
        vouched = set(self.vouched)
        history = list(self.crm.requests)
        self._read(InlineWorkers(), saves=lambda: False)
        alive = {contact_id: row["revision"] for contact_id, row in self.crm.alive.items()}
        assert alive == {contact_id: self.emitted.get(contact_id) for contact_id in alive}, _told(history)
        if self.detect_deletes:
            # What was emitted after the last STATE of a killed run is known to nobody.
            assert vouched & self.crm.trash.keys() <= self.gone, _told(history)


class CrowdWithDeletes(Crowd):
    """The same, and every contact that was emitted and is gone is told so."""

    detect_deletes = True


class BareCrowd(Crowd):
    """The same against a server that tells neither counts nor its time; without counts no restore shows."""

    within_one_gap = (WITHOUT_RESTORE,)

    @initialize(contacts=st.integers(0, 20), seconds=st.integers(0, 1), page_size=st.integers(1, 4))
    def begin(self, contacts, seconds, page_size):
        super().begin(contacts=contacts, seconds=seconds, page_size=page_size)
        self.crm.tells_totals = self.crm.tells_time = False


def _told(history):
    return "\n".join(str(event) for event in history)


@pytest.mark.parametrize("machine", [Crowd, CrowdWithDeletes, BareCrowd])
def test_one_more_run_has_every_survivors_newest_version(machine):
    budget = settings(
        max_examples=60, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=budget)
