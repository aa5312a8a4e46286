"""The command blocks of README and docs, as a reader types them: each is run by a test, or says why it is not."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("README*.md", "CONTRIBUTING.md", "docs/*.md", "docs/pt-BR/*.md", "examples/*/README.md")
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<kind>console|bash|sh|shell)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """What stands between two fences, in its document and section."""

    document: str
    section: str
    kind: str
    mark: str
    text: str

    @property
    def commands(self):
        """What is typed: lines behind a prompt where there are prompts, else all of it."""
        prompted = re.findall(r"^\$ (.*)$", self.text, re.MULTILINE)
        return "\n".join(prompted) + "\n" if prompted else self.text


def blocks(document):
    """All blocks of a document, in their order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        headings = re.findall(r"^#+ (.*)$", text[: match.start()], re.MULTILINE)
        section = headings[-1] if headings else ""
        found.append(Block(document, section, match["kind"], match["mark"] or "", match["text"]))
    return found


def with_account(text, source, other=None):
    """Put the sandbox's address and token where a reader puts their own."""
    text = text.replace("https://acme.appcrm.com.br/api", source.url)
    if other is not None:
        text = text.replace("https://other.appcrm.com.br/api", other.url)
    text = re.sub(r'"auth_token": "\.\.\."', f'"auth_token": "{source.token}"', text)
    return re.sub(r"(AUTH_TOKEN=)\.\.\.", rf"\g<1>{source.token}", text)


def type_in(text, folder, environment, seconds=200):
    """Type it into a shell that stops at the first command that fails; what was said, on both streams.

    Whatever the shell started ends with it.
    """
    shell = subprocess.Popen(
        [shutil.which("bash"), "-e", "-c", text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, f"{text}\n{said[-6000:]}"
    return said
