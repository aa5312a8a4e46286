"""What a scheduler must know of a Meltano project: schedules, AppCRM accounts, and what a failed run calls for.

Nothing here imports Airflow. Run as a command it prints the pools, for `airflow pools import`:

    MELTANO_PROJECT_ROOT=... MELTANO_EXECUTABLE=... python meltano_project.py > pools.json
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# tap-appcrm and target-appcrm are the project's one account, tap-appcrm--acme and target-appcrm--acme are acme's.
_APPCRM_PLUGIN = re.compile(r"(?:tap|target)-appcrm(?:--(?P<account>[\w.-]+))?")
_TENANT_TAP = re.compile(r"tap-appcrm--(?P<account>[\w.-]+)")
_RECEIPTS_TAP = re.compile(r"tap-receipts(?:--[\w.-]+)?")
_LOADER_WROTE_TO_THE_CRM = re.compile(r"(?:^|\s)target-appcrm(?:--|\s|$)")
# What a run stops at by its own settings, it would stop at again; its sentence names the setting.
_LIMITS = ("max_rejects", "max_creates", "max_updates", "max_deletes")
_DEFAULT_GROUP = "hourly"
_GIST_LINES = 8


class ProjectError(RuntimeError):
    """The Meltano project, or where to find it, is not as it must be; the message says what to change."""


@dataclass(frozen=True)
class Project:
    """Where the project lies and which Meltano runs it."""

    root: Path
    executable: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Project:
        """Read MELTANO_PROJECT_ROOT (required) and MELTANO_EXECUTABLE (`meltano` on the path unless set)."""
        root = environment.get("MELTANO_PROJECT_ROOT")
        if not root or not (Path(root) / "meltano.yml").is_file():
            raise ProjectError(
                "Set MELTANO_PROJECT_ROOT to the folder of meltano.yml, for every Airflow process."
            )
        return cls(Path(root), environment.get("MELTANO_EXECUTABLE", "meltano"))


@dataclass(frozen=True)
class Schedule:
    """One schedule of Meltano's: the blocks of its job run one after another."""

    name: str
    cron: str | None
    blocks: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Tenant:
    """One AppCRM account of many; its group says which DAG it runs in."""

    account: str
    group: str

    @property
    def block(self) -> str:
        """What `meltano run` is given."""
        return f"tap-appcrm--{self.account} target-postgres--tenants"


@dataclass(frozen=True)
class Summary:
    """What target-appcrm says of its run, in the file that its setting `summary_path` names."""

    run_id: str
    rejected: int
    error: str | None

    @classmethod
    def read(cls, path: Path) -> Summary | None:
        """Read a run's record; None where the target did not come to its end, or the block has none."""
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(run["run_id"], run["counts"]["reject"], run["error"])

    @property
    def refusals(self) -> str:
        """How many records were refused, and where they are."""
        what = "1 record was" if self.rejected == 1 else f"{self.rejected} records were"
        return f"{what} refused by run {self.run_id}: see its file at rejects_path, and the reasons in the receipts"


class Verdict(Enum):
    """What the end of a run calls for."""

    DONE = "done"
    DONE_WITH_REJECTS = "done, but records were refused"
    STOPPED = "a limit of the target's own was passed, and would be again"
    RETRY = "may succeed later"


def judge(exit_code: int, output: Iterable[str], summary: Summary | None) -> Verdict:
    """Decide from `meltano run`'s exit code and last lines, and from what the target says of its run.

    Meltano ends with 1 whatever its plugins ended with, so its lines say which of them failed. A loader that failed
    alone, by a limit of its settings, did all else that it could: in six minutes it would end the same.
    """
    if exit_code == 0:
        return Verdict.DONE_WITH_REJECTS if summary and summary.rejected else Verdict.DONE
    loader_alone = any(line.rstrip().endswith("Loader failed") for line in output)
    by_a_limit = summary and summary.error and any(limit in summary.error for limit in _LIMITS)
    return Verdict.STOPPED if by_a_limit and loader_alone else Verdict.RETRY


def gist(output: Iterable[str]) -> str:
    """Return the last lines that Meltano and its plugins call errors, or the last lines of all where none is."""
    lines = list(output)
    return "\n".join(([line for line in lines if "[error" in line] or lines)[-_GIST_LINES:])


def account_of(block: str) -> str | None:
    """The AppCRM account that a block of `meltano run` talks to: None for none, '' for the project's only one.

    Raises:
        ProjectError: two accounts in one block, which no single pool can hold back.
    """
    found = {
        match["account"] or ""
        for word in block.split()
        if (match := _APPCRM_PLUGIN.fullmatch(word)) is not None
    }
    if len(found) > 1:
        raise ProjectError(
            f"`{block}` talks to two AppCRM accounts; make it two blocks, with the warehouse between."
        )
    return next(iter(found), None)


def pool_name(account: str) -> str:
    """The pool that holds an account's one slot; also the id of the connection that holds its token."""
    return f"appcrm_{account}" if account else "appcrm"


def task_id(block: str) -> str:
    """A name that Airflow takes."""
    return re.sub(r"[^\w.-]+", "-", block)


def run_id(*parts: str) -> str:
    """The id of a Meltano run, the same for every try: Airflow's names lead to Meltano's logs and back."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(parts)))


def writes_to_crm(block: str) -> bool:
    """Whether the block has a target that tells of its run."""
    return _LOADER_WROTE_TO_THE_CRM.search(block) is not None


def reads_receipts(block: str) -> bool:
    """Whether the block brings receipts home, which is wanted most after a failure."""
    return any(_RECEIPTS_TAP.fullmatch(word) for word in block.split())


def schedules(project: Project) -> list[Schedule]:
    """Meltano's schedules that run a job; asked of Meltano once for each state of its project files."""
    fingerprint = hashlib.sha256(
        b"".join(path.read_bytes() for path in _project_files(project.root))
    ).hexdigest()
    cache = project.root / ".meltano" / "airflow" / f"schedules-{fingerprint[:16]}.json"
    if not cache.is_file():
        _keep(cache, _ask_meltano(project))
    return parse_schedules(json.loads(cache.read_text(encoding="utf-8")))


def parse_schedules(listed: Mapping[str, Any]) -> list[Schedule]:
    """Read the answer of `meltano schedule list --format=json`."""
    return [
        Schedule(
            name=one["name"],
            cron=one["cron_interval"],
            blocks=tuple(one["job"]["tasks"]),
            environment={name: str(value) for name, value in (one.get("env") or {}).items()},
        )
        for one in listed["schedules"]["job"]
    ]


def tenants(project: Project) -> list[Tenant]:
    """Every `tap-appcrm--ACCOUNT` in the project's files, by name; its group is in its annotations."""
    found = {}
    main = _read_yaml(project.root / "meltano.yml")
    for document in (main, *map(_read_yaml, _included(project.root, main))):
        for plugin in (document.get("plugins") or {}).get("extractors") or []:
            if match := _TENANT_TAP.fullmatch(plugin["name"]):
                notes = (plugin.get("annotations") or {}).get("airflow") or {}
                found[match["account"]] = Tenant(match["account"], notes.get("group", _DEFAULT_GROUP))
    return [found[account] for account in sorted(found)]


def pools(accounts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What `airflow pools import` reads: one slot an account, so its requests a minute are never shared."""
    return {
        pool_name(account): {
            "slots": 1,
            "description": f"AppCRM account {account or 'of the project'}: one pipeline at a time",
            "include_deferred": False,
        }
        for account in sorted(set(accounts))
    }


def accounts(project: Project) -> set[str]:
    """Every account that a schedule or the tenants file names."""
    blocks = [block for schedule in schedules(project) for block in schedule.blocks]
    named = {account for block in blocks if (account := account_of(block)) is not None}
    return named | {tenant.account for tenant in tenants(project)}


def _project_files(root: Path) -> list[Path]:
    main = root / "meltano.yml"
    return [main, *_included(root, _read_yaml(main))]


def _included(root: Path, document: Mapping[str, Any]) -> list[Path]:
    patterns = document.get("include_paths") or []
    return sorted({path for pattern in patterns for path in root.glob(str(pattern).removeprefix("./"))})


def _read_yaml(path: Path) -> dict[str, Any]:
    # Every task reads the files anew, so with hundreds of accounts the faster loader counts; the loaders are safe ones.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}  # noqa: S506  see above


def _ask_meltano(project: Project) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603  the project's own Meltano
        [project.executable, "schedule", "list", "--format=json"],
        cwd=project.root,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "__AIRFLOW"))
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProjectError(
            f"`meltano schedule list` ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
        )
    return json.loads(done.stdout)  # type: ignore[no-any-return]  # JSON


def _keep(cache: Path, answer: dict[str, Any]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Several Airflow processes read the DAG file at once, and none may see half an answer.
    draft = cache.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(answer), encoding="utf-8")
    draft.replace(cache)


if __name__ == "__main__":
    json.dump(pools(accounts(Project.from_environment(os.environ))), sys.stdout, indent=2)
