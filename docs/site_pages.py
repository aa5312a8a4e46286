"""Pages of the site that are made, not written: settings from --about, streams from schemas/, files beside docs/.

A hook of MkDocs. The repository is read as it is: links to files that are no pages of the site become their names.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
COMMANDS = ("tap-appcrm", "target-appcrm")
WHOLE_FILES = {
    "pages/examples/demo.md": "examples/demo/README.md",
    "pages/examples/receipts.md": "examples/receipts/README.md",
    "pages/examples/duckdb.md": "examples/duckdb/README.md",
    "pages/changelog.md": "CHANGELOG.md",
    "pages/contributing.md": "CONTRIBUTING.md",
}
"""Page of the site to file of the repository."""
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {page: (ROOT / path).read_text(encoding="utf-8") for page, path in WHOLE_FILES.items()}
    made["pages/settings.md"] = _settings_page()
    made["pages/streams.md"] = _streams_page()
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  MkDocs' own
    """Point links at pages of the site; what is no page becomes its name."""
    own = page.file.src_uri
    source = WHOLE_FILES.get(own, f"docs/{own}")
    pages = {path: name for name, path in WHOLE_FILES.items()}

    def pointed(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        name = pages.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if name is None or files.get_file_from_path(name) is None:
            return text if text.startswith("`") else f"{text} (`{path}`)"
        return f"[{text}]({posixpath.relpath(name, posixpath.dirname(own) or '.')}{anchor})"

    return LINK.sub(pointed, markdown)


def _settings_page() -> str:
    parts = ["# Settings", "Made from what `--about` says.", ""]
    bin_folder = Path(os.environ.get("APPCRM_BIN", Path(sys.executable).parent))
    for command in COMMANDS:
        about = subprocess.run(
            [bin_folder / command, "--about", "--format=json"], capture_output=True, check=True, timeout=120
        )
        settings = json.loads(about.stdout)["settings"]
        required = set(settings.get("required", ()))
        parts += [f"## {command}", "", "| setting | type | default | meaning |", "|---|---|---|---|"]
        parts += [_setting_row(name, schema, required) for name, schema in settings["properties"].items()]
        parts.append("")
    return "\n".join(parts)


def _setting_row(name: str, schema: dict[str, Any], required: set[str]) -> str:
    default = "required" if name in required else json.dumps(schema.get("default"))
    meaning = " ".join(str(schema.get("description", "")).split()).replace("|", "\\|")
    return f"| `{name}` | {_types(schema)} | {'none' if default == 'null' else default} | {meaning} |"


def _types(schema: dict[str, Any]) -> str:
    types = schema.get("type", "")
    kinds = [types] if isinstance(types, str) else [each for each in types if each != "null"]
    return ", ".join(f"{kind} ({schema['format']})" if schema.get("format") else kind for kind in kinds)


def _streams_page() -> str:
    parts = ["# Streams", "Made from `schemas/`. Custom fields come on top, as discovery finds them.", ""]
    for path in sorted((ROOT / "schemas").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        parts += [
            f"## {path.stem}",
            "",
            schema.get("description", ""),
            "",
            "| field | type | meaning |",
            "|---|---|---|",
        ]
        for name, field in schema["properties"].items():
            meaning = " ".join(str(field.get("description", "")).split()).replace("|", "\\|")
            parts.append(f"| `{name}` | {_types(field)} | {meaning} |")
        parts.append("")
    return "\n".join(parts)
