"""The Airflow side of `meltano run`: an operator, its defaults, and the alert."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import urllib.request
from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
from meltano_project import (
    Project,
    Summary,
    Verdict,
    account_of,
    gist,
    judge,
    pool_name,
    run_id,
    task_id,
    writes_to_crm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow.sdk import Context

logger = logging.getLogger(__name__)

# A run that was killed holds its state id for five minutes, until Meltano takes its missing heartbeat for its death.
# `--force` would not wait, but where only the worker's line broke and the run lives on, two would write to one CRM.
RETRY_DELAY = timedelta(seconds=int(os.environ.get("MELTANO_RETRY_DELAY_SECONDS", "360")))
RETRIES = 3
# Meltano 4.4.1 reads MELTANO_AUTO_INSTALL and installs all the same; only the option stops it.
NO_INSTALL = "--no-install"
_LAST_LINES = 40
_ALERT_SECONDS = 30


def alert(context: Mapping[str, Any], sentence: str = "") -> None:
    """Say what failed: in the task's log and, where APPCRM_ALERT_WEBHOOK is set, as `{"text": …}` to that address."""
    instance = context["task_instance"]
    reason = sentence or str(context.get("exception") or "failed")
    text = f"{instance.dag_id} / {instance.task_id}, run {context.get('run_id')}: {reason}"
    logger.error("Alert: %s", text)
    address = os.environ.get("APPCRM_ALERT_WEBHOOK")
    if address:
        request = urllib.request.Request(  # noqa: S310  whoever runs Airflow chose the address
            address, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
        )
        try:
            urllib.request.urlopen(request, timeout=_ALERT_SECONDS).close()  # noqa: S310  the same
        except OSError as error:
            # An alert that nobody receives must not also hide what it was about.
            logger.error("The alert did not reach APPCRM_ALERT_WEBHOOK: %s", error)  # noqa: TRY400  said in full


class MeltanoRun(BaseOperator):
    """`meltano run BLOCK` in the project's folder; takes the one slot of the AppCRM account that the block talks to."""

    template_fields = ("block", "environment")
    ui_color = "#e8e6f5"

    def __init__(
        self,
        *,
        project: Project,
        block: str,
        environment: Mapping[str, str] | None = None,
        **kwargs: Any,  # noqa: ANN401  Airflow's
    ) -> None:
        account = account_of(block)
        kwargs.setdefault("task_id", task_id(block))
        kwargs.setdefault("retries", RETRIES)
        kwargs.setdefault("retry_delay", RETRY_DELAY)
        kwargs.setdefault("on_failure_callback", alert)
        if account is not None:
            kwargs.setdefault("pool", pool_name(account))
        super().__init__(**kwargs)
        self.block = block
        self.account = account
        self.project_root = project.root
        self.executable = project.executable
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> None:
        """Run it; raises AirflowFailException (no retry) where a limit was passed and AirflowException for all else."""
        name = run_id(self.dag_id, context["run_id"], self.task_id)
        path = self.project_root / "output" / f"summary-{name}.json"
        path.unlink(missing_ok=True)
        command = ["run", NO_INSTALL, "--run-id", name, *self.block.split()]
        exit_code, output = self._run(command, self._settings(path))
        summary = Summary.read(path)
        path.unlink(missing_ok=True)
        verdict = judge(exit_code, output, summary)
        if verdict is Verdict.DONE_WITH_REJECTS and summary:
            alert(context, summary.refusals)
        elif verdict is Verdict.STOPPED and summary:
            told = f"{summary.refusals}. " if summary.rejected else ""
            raise AirflowFailException(f"{told}{summary.error}")
        elif verdict is Verdict.RETRY:
            reason = summary.error if summary and summary.error else gist(output)
            raise AirflowException(f"`meltano run {self.block}` ended with {exit_code}:\n{reason}")

    def on_kill(self) -> None:
        """Ask Meltano and its plugins to finish what is in flight; Airflow kills what has not ended a minute later."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)

    def _run(self, arguments: list[str], settings: Mapping[str, str]) -> tuple[int, deque[str]]:
        last: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = subprocess.Popen(  # noqa: S603  the project's own Meltano
            [self.executable, *arguments],
            cwd=self.project_root,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        for line in self._process.stdout or ():
            last.append(line.rstrip())
            self.log.info("%s", line.rstrip())
        return self._process.wait(), last

    def _settings(self, summary: Path) -> dict[str, str]:
        # Meltano and the connectors have no business with the credentials of Airflow itself.
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "__AIRFLOW"))
        }
        settings = {"MELTANO_ENVIRONMENT": "prod", "NO_COLOR": "1"}
        settings |= kept | self.environment
        settings["PATH"] = os.pathsep.join((os.path.dirname(self.executable), kept.get("PATH", os.defpath)))  # noqa: PTH120  may be a bare name
        if writes_to_crm(self.block):
            settings["TARGET_APPCRM_SUMMARY_PATH"] = str(summary)
        if self.account is not None and (token := _token(pool_name(self.account))):
            # Inherited plugins read the variables of the plugin that they inherit from.
            settings["TAP_APPCRM_AUTH_TOKEN"] = settings["TARGET_APPCRM_AUTH_TOKEN"] = token
        return settings


def _token(connection_id: str) -> str | None:
    """The password of the connection that is named like the pool; None leaves the token to the environment."""
    with suppress(AirflowNotFoundException):
        return BaseHook.get_connection(connection_id).password
    return None
