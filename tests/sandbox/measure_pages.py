"""Measures the sandbox with many contacts: python tests/sandbox/measure_pages.py [contacts].

Prints, for each kind of request, what a client waits (median and worst) and what the server computes, in milliseconds.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import requests

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MEGABYTE_KILOBYTES = 1024


def cpu_seconds(pid):
    """Processor seconds that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def memory_megabytes(pid):
    """Resident memory of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / MEGABYTE_KILOBYTES


def cases(contacts):
    """Name → the requests to time, one after another."""
    last = contacts // 100
    middle = range(last // 2 - 100, last // 2 + 100)
    lists = {"first pages": range(1, 101), "middle": middle, "last pages": range(last - 99, last + 1)}
    paths = {
        f"{order}, {name}": [f"/contacts?per_page=100&order={order}&page={page}" for page in pages]
        for order in ("id", "updated_at", "first_name")
        for name, pages in lists.items()
    }
    paths["ids only, middle, backwards"] = [
        f"/contacts?per_page=100&order=id&select=id&page={page}" for page in reversed(middle)
    ]
    paths["with associations"] = [
        f"/contacts?per_page=100&order=id&with=companies;deals&page={p}" for p in middle
    ]
    paths["retrieve"] = [f"/contacts/{number}" for number in range(1, contacts, contacts // 300)]
    paths["search e-mail ="] = [
        f"/contacts/search?q=a{n}@x.example&search_fields=email:=" for n in range(300)
    ]
    many = ",".join(f"a{number}@x.example" for number in range(50))
    paths["search 50 e-mails in"] = [f"/contacts/search?q={many}&search_fields=email:in"] * 100
    paths["search e-mail like"] = [f"/contacts/search?q=silva{n}&search_fields=email:like" for n in range(10)]
    return paths


def main():
    """Start a server on a new database, ask, and print."""
    contacts = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    out = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        database = pathlib.Path(folder) / "crm.sqlite3"
        command = [
            sys.executable,
            "-c",
            "from appcrm_sandbox.cli import main; main()",
            "serve",
            "--port",
            "0",
        ]
        began = time.perf_counter()
        server = subprocess.Popen(
            [*command, "--database", str(database), "--contacts", str(contacts)],
            stderr=subprocess.PIPE,
            text=True,
        )
        url = re.search(r"http://\S+/api", server.stderr.readline()).group()
        waited, computed = time.perf_counter() - began, cpu_seconds(server.pid)
        out(f"{contacts} contacts made in {waited:.1f} s, {computed:.1f} s of them computing, ")
        out(
            f"{database.stat().st_size / 1e6:.0f} MB on disk, {memory_megabytes(server.pid):.0f} MB in memory\n"
        )
        session = requests.Session()
        session.headers["Authorization"] = "Bearer sandbox-token"
        for name, paths in cases(contacts).items():
            measure(session, url, server.pid, name, [("GET", path, None) for path in paths])
        bodies = [
            {"first_name": "Ana", "email": f"ana{n}@y.example", "phones": [{"number": f"+9{n}"}]}
            for n in range(500)
        ]
        measure(session, url, server.pid, "create", [("POST", "/contacts", body) for body in bodies])
        out(f"{memory_megabytes(server.pid):.0f} MB in memory at the end\n")
        server.terminate()
        server.communicate()


def measure(session, url, pid, name, calls):
    """Time some calls and print one line."""
    waits = []
    before = cpu_seconds(pid)
    for method, path, body in calls:
        began = time.perf_counter()
        answer = session.request(method, url + path, json=body, timeout=60)
        waits.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
    computing = (cpu_seconds(pid) - before) * 1000 / len(calls)
    line = f"{name:30} waits {statistics.median(waits):6.1f} (worst {max(waits):6.1f}), computes {computing:6.1f}\n"
    sys.stdout.write(line)


if __name__ == "__main__":
    main()
