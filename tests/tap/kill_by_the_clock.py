"""Kills a first read again and again: python tests/tap/kill_by_the_clock.py [contacts] [kills] [seed].

Each run goes on from the last whole STATE line of those before it, and is ended at a random moment: most by SIGKILL,
every fourth by SIGTERM. Prints what each one read again, and fails if in the end a contact is missing, or if a run
read more again than there may be behind one STATE.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BIN = Path(sys.executable).parent
TOKEN = "sandbox-token"
MOST_READ_AGAIN = 600
"""Five hundred records stand between two STATEs at most, and a page more may be on its way."""
PATIENCE_SECONDS = 600


def say(sentence):
    """Print a line at once."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def serve(folder, contacts):
    """Start a sandbox of so many contacts; returns its process and its address."""
    command = [BIN / "appcrm-sandbox", "serve", "--port", "0", "--database", folder / "crm.sqlite3"]
    command += ["--contacts", contacts, "--latency-ms", 50]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    told = process.stderr.readline()
    if "serving " not in told:
        sys.exit(f"the sandbox did not start: {told}{process.stderr.read()}")
    return process, told.split("serving ", 1)[1].split(" ", 1)[0]


def whole_messages(data):
    """The messages whose lines are whole, and whether the last line is torn: what a loader can go by."""
    body, _, torn = data.rpartition(b"\n")
    return [json.loads(line) for line in body.splitlines()], bool(torn)


def run(folder, number, state, end_after):
    """Run the tap, and end it by a signal after so many seconds; returns what it wrote and how it ended."""
    (folder / "state.json").write_text(json.dumps(state))
    files = ["--config", folder / "config.json", "--catalog", folder / "catalog.json"]
    files += ["--state", folder / "state.json"] if state else []
    with (folder / f"err-{number}").open("wb") as stderr:
        process = subprocess.Popen([BIN / "tap-appcrm", *files], stdout=subprocess.PIPE, stderr=stderr)
        if end_after is not None:
            seconds, by = end_after
            timer = threading.Timer(seconds, process.send_signal, [by])
            timer.start()
        # A pipe, as a loader has it: what is on its way when the tap is killed may end in the middle of a line.
        data = process.stdout.read()
        code = process.wait(PATIENCE_SECONDS)
    if end_after is not None:
        timer.cancel()
    messages, torn = whole_messages(data)
    return messages, torn, code


def judge(contacts, kills, chance, folder):
    """Run until done; returns what is wrong, or nothing."""
    seen, state, killed, torn_lines = set(), {}, 0, 0
    wrong = []
    for number in range(10 * kills):
        by = signal.SIGTERM if number % 4 == 3 else signal.SIGKILL
        # What is left of the read shrinks with each run, and starting up takes its share of each.
        end_after = (chance.uniform(1, 5), by) if killed < kills else None
        began = time.monotonic()
        messages, torn, code = run(folder, number, state, end_after)
        ids = [m["record"]["id"] for m in messages if m["type"] == "RECORD"]
        state = next((m["value"] for m in reversed(messages) if m["type"] == "STATE"), state)
        again = len(ids) - len(set(ids) - seen)
        seen.update(ids)
        torn_lines += torn
        say(
            f"run {number}: exit {code}, {time.monotonic() - began:.1f} s, {len(ids)} records, {again} again, "
            f"{len(seen)} of {contacts}, state {len(json.dumps(state))} bytes{', last line torn' if torn else ''}"
        )
        if again > MOST_READ_AGAIN:
            wrong.append(f"run {number} read {again} contacts again")
        if code == 0:
            if killed >= kills or end_after is None:
                break
            # Done before its signal: the rest of the kills go to another first read.
            if len(seen) != contacts:
                wrong.append(f"run {number} ended with 0, and {contacts - len(seen)} contacts are missing")
            seen, state = set(), {}
            continue
        # Before the command has begun, SIGTERM ends it as it ends any process.
        expected = {-signal.SIGKILL, 128 + signal.SIGTERM} | (set() if messages else {-signal.SIGTERM})
        if code not in expected:
            wrong.append(f"run {number} ended with {code}: {(folder / f'err-{number}').read_text()[-500:]}")
        killed += 1
    if seen != set(range(1, contacts + 1)):
        wrong.append(f"{contacts - len(seen)} contacts are missing")
    say(f"{killed} runs ended by a signal, {torn_lines} torn last lines, {len(seen)} distinct contacts")
    return wrong


def main():
    """Judge and say so; the exit code is 1 if anything is wrong."""
    contacts, kills, seed = (
        int(given) for given in [*sys.argv[1:], *["100000", "12", "1"][len(sys.argv) - 1 :]]
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sandbox, address = serve(folder, contacts)
        try:
            config = {"api_url": address, "auth_token": TOKEN, "concurrency": 8}
            (folder / "config.json").write_text(json.dumps(config))
            discovered = subprocess.run(
                [BIN / "tap-appcrm", "--config", folder / "config.json", "--discover"],
                capture_output=True,
                check=True,
                env={**os.environ, "LOGLEVEL": "WARNING"},
            )
            (folder / "catalog.json").write_bytes(discovered.stdout)
            wrong = judge(contacts, kills, random.Random(seed), folder)  # noqa: S311  not for secrets
        finally:
            sandbox.terminate()
            sandbox.wait(PATIENCE_SECONDS)
    for sentence in wrong:
        say(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
