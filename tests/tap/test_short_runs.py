"""Thousands of short runs at random against a CRM that changes between any two requests.

Beside the state machine, which looks for the shortest way to break a run: chance goes further, and tries what takes
many changes at once. docs/reading.md says which changes a read cannot bear; those are left out here.
"""

import json
import random

import pytest
from fake_crm import FakeCrm, InlineWorkers, Killed

from tap_appcrm.replication.backfill import Checkpoint
from tap_appcrm.replication.deletes import Gone
from tap_appcrm.replication.read_context import IncompleteRead, ReadContext
from tap_appcrm.replication.replication import Replication
from tap_appcrm.settings import TapSettings
from tap_appcrm.state import StreamState

ALL = ("insert", "touch", "delete", "restore", "purge")
COMING, GOING = ("insert", "touch", "restore"), ("touch", "delete", "purge")
WITHOUT_RESTORE = ("insert", "touch", "delete", "purge")
TRIALS = 500


class Trial:
    """A CRM of its own, and what the runs against it emitted last of each contact.

    Args:
        seed: of everything that is random.
    """

    def __init__(self, seed):
        self.detects = seed % 2 == 1
        self.gone, self.vouched = set(), set()
        self.chance = random.Random(seed)  # noqa: S311  not for secrets
        self.crm = FakeCrm(page_size=self.chance.randint(2, 5))
        self.emitted = {}
        self.state = {}
        pause = self.chance.choice([0, 1, 1])
        for _ in range(self.chance.randint(3, 30)):
            self.crm.insert()
            self.crm.tick(pause)
        for _ in range(self.chance.randint(0, 4)):
            self.change("delete")
        self.crm.tick(5)

    def change(self, kind):
        """Let something happen to a contact that it can happen to, if there is one."""
        crm = self.crm
        there = sorted(crm.trash if kind in ("restore", "purge") else crm.alive)
        if kind == "insert":
            crm.insert()
        elif there:
            chosen = self.chance.choice(there)
            crm.trash.pop(chosen) if kind == "purge" else getattr(crm, kind)(chosen)

    def between_runs(self):
        for _ in range(self.chance.randint(0, 3)):
            self.change(self.chance.choice(ALL))
        self.crm.tick(self.chance.randint(0, 1))

    def busy_run(self):
        """Run while contacts change, perhaps until it is killed."""
        often = self.chance.choice([0.1, 0.3, 0.8])
        left = self.chance.choice([None, None, self.chance.randint(0, 12)])
        restores = self.chance.random() < 0.5

        def before_request():
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Killed
            self.crm.tick(self.chance.choice([0, 0, 1]))
            if self.chance.random() < often:
                # A restore with a delete that no count shows is what a read cannot bear.
                kinds = self.chance.choice([COMING, GOING]) if restores else WITHOUT_RESTORE
                for _ in range(self.chance.randint(1, 3)):
                    self.change(self.chance.choice(kinds))

        self.crm.before_request = before_request
        self.crm.shuffle = lambda ids: self.chance.sample(ids, len(ids))
        try:
            self.run(InlineWorkers(self.chance.randint(1, 4), self.chance.randrange))
        except (Killed, IncompleteRead):
            pass
        finally:
            self.crm.before_request = lambda: None
            self.crm.shuffle = lambda ids: ids

    def run(self, workers):
        """Run the tap; what is in ``state`` is its last STATE, whatever happens."""
        self.crm.workers = workers
        state = StreamState.parse("contacts", self.state)
        reading = Replication(
            ReadContext("contacts", self.crm, self.crm.page_size),
            TapSettings.from_config(
                {"lookback_seconds": 0, "max_shrink": "100%", "detect_deletes": self.detects}
            ),
            state,
        )
        handed_out = set()

        def write():
            reading.save()
            self.vouched.update(handed_out)
            self.state = json.loads(json.dumps(reading.state.dump()))

        try:
            for step in reading.steps():
                if isinstance(step, Checkpoint):
                    if self.chance.random() < 0.5:
                        write()
                elif isinstance(step, Gone):
                    self.gone.update(step.ids)
                else:
                    self.emitted.update((row["id"], row["revision"]) for row in step.rows)
                    handed_out.update(step.ids)
                    self.gone.difference_update(step.ids)
        except (Killed, IncompleteRead):
            # SIGTERM and errors let the state be written once more, SIGKILL does not.
            if self.chance.random() < 0.5:
                write()
            raise
        write()

    @property
    def lost(self):
        """Contacts whose newest version was never emitted."""
        return {i for i, row in self.crm.alive.items() if self.emitted.get(i) != row["revision"]}

    @property
    def untold(self):
        """Contacts that a state vouched for and that are gone, without a tombstone behind their last record."""
        return {i for i in self.vouched if i not in self.crm.alive} - self.gone if self.detects else set()

    @property
    def wrongly_told(self):
        """Contacts that are there, and whose last word was a tombstone."""
        return self.gone & self.crm.alive.keys()


@pytest.mark.parametrize("began", [False, True], ids=["backfill", "changes"])
@pytest.mark.parametrize("block", range(3))
def test_one_more_run_has_every_survivors_newest_version_whatever_chance_does(block, began):
    for seed in range(block * TRIALS, (block + 1) * TRIALS):
        trial = Trial(seed)
        if began:
            trial.run(InlineWorkers())
            trial.crm.tick(2)
            for _ in range(trial.chance.randint(0, 12)):
                trial.change("touch")
                trial.crm.tick(trial.chance.randint(0, 1))
        for _ in range(trial.chance.randint(1, 3)):
            trial.busy_run()
            trial.between_runs()
        trial.run(InlineWorkers())
        told = (trial.lost, trial.untold, trial.wrongly_told)
        assert told == (set(), set(), set()), f"seed {seed}"
