"""Write what Meltano knows of the two connectors, from what they say of themselves with `--about`.

    python hub/write.py          # hub/extractors, hub/loaders, and the settings of both in meltano.yml
    python hub/write.py --check  # whether they are as this would write them

`meltano add --from-ref` takes the files of hub/, and Meltano's Hub has the same form.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
MELTANO_FILE = ROOT / "meltano.yml"
REQUIRED_GROUP = [["api_url", "auth_token"]]
BESIDE_THE_PROJECT = "../appcrm-connectors"
"""As long as no index has the package: a clone beside the project. A wheel's path or a version is as good."""


class Connector(NamedTuple):
    """What Meltano wants to know beside the settings."""

    name: str
    kind: str
    description: str
    usage: str


CONNECTORS = [
    Connector(
        "tap-appcrm",
        "extractors",
        "Contacts of AppCRM (Concord CRM), every one of them proven to be read, in as few requests as can be",
        "The first run reads everything, each later one what changed. Give the connectors a CRM user of their own: "
        "its limit of requests is shared with that user's own screen.",
    ),
    Connector(
        "target-appcrm",
        "loaders",
        "Records into AppCRM (Concord CRM) contacts: created once, updated where they differ, deleted where allowed",
        "A first run with `dry_run` and `receipts_path` is a plan that `appcrm-report html` shows. Streams are named "
        "contacts and contact_associations; another name needs a stream_maps alias.",
    ),
]
UNKNOWN_TO_MELTANO = frozenset({"validate-records"})
"""Capabilities of the SDK that Meltano 4.4 refuses in a definition."""
KINDS = {
    "integer": "integer",
    "number": "decimal",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}


def about(name: str) -> dict[str, Any]:
    """Return what a connector of this environment says of itself."""
    command = Path(sys.executable).parent / name
    told = subprocess.run([command, "--about", "--format=json"], capture_output=True, check=True, timeout=120)
    content: dict[str, Any] = json.loads(told.stdout)
    return content


def setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a setting as Meltano describes one."""
    types = schema.get("type", "string")
    types = [types] if isinstance(types, str) else [each for each in types if each != "null"]
    written: dict[str, Any] = {
        "name": name,
        "label": schema.get("title") or name,
        "kind": KINDS.get(types[0], "string"),
    }
    if schema.get("format") in {"date-time", "date"}:
        written["kind"] = "date_iso8601"
    if len(types) > 1:
        # A list may be written as text, and a count as a share: Meltano has no kind for either.
        written["kind"] = "array" if "array" in types else "string"
    if "enum" in schema:
        written["kind"] = "options"
        written["options"] = [
            {"label": str(each), "value": each} for each in schema["enum"] if each is not None
        ]
    if schema.get("secret"):
        written["sensitive"] = True
    if schema.get("default") is not None:
        written["value"] = schema["default"]
    if schema.get("description"):
        written["description"] = " ".join(schema["description"].split())
    return written


def capabilities(told: dict[str, Any]) -> list[str]:
    """Return the capabilities that Meltano knows."""
    return [each for each in told["capabilities"] if each not in UNKNOWN_TO_MELTANO]


def settings(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all settings of a connector."""
    return [setting(name, schema) for name, schema in told["settings"]["properties"].items()]


def definition(connector: Connector, told: dict[str, Any]) -> dict[str, Any]:
    """Return a plugin definition in the form of Meltano's Hub."""
    return {
        "name": connector.name,
        "namespace": connector.name.replace("-", "_"),
        "variant": "appcrm-connectors",
        "label": "AppCRM",
        "description": connector.description,
        "pip_url": BESIDE_THE_PROJECT,
        "executable": connector.name,
        "maintenance_status": "active",
        "keywords": ["meltano_sdk", "crm", "concord-crm"],
        "capabilities": capabilities(told),
        "settings_group_validation": REQUIRED_GROUP,
        "usage": connector.usage,
        "settings": settings(told),
    }


def dumped(content: object) -> str:
    """Return YAML as both files have it."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def in_meltano_file(text: str, connector: Connector, told: dict[str, Any]) -> str:
    """Return meltano.yml with a connector's capabilities and settings between their marks."""
    block = dumped({"capabilities": capabilities(told), "settings": settings(told)})
    begin, end = (
        f"    # Made from --about, by make hub: {connector.name}\n",
        "    # End of what make hub makes\n",
    )
    written = begin + "".join(f"    {line}\n" for line in block.splitlines()) + end
    marked = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"meltano.yml has no place for {connector.name}: {begin.strip()}")
    return marked.sub(lambda _: written, text)


def main() -> None:
    """Write the files, or check them."""
    files: dict[Path, str] = {MELTANO_FILE: MELTANO_FILE.read_text(encoding="utf-8")}
    for connector in CONNECTORS:
        told = about(connector.name)
        path = ROOT / "hub" / connector.kind / f"{connector.name}.yml"
        files[path] = dumped(definition(connector, told))
        files[MELTANO_FILE] = in_meltano_file(files[MELTANO_FILE], connector, told)
    stale = [
        path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        if stale:
            raise SystemExit(
                f"not as --about says: {', '.join(path.name for path in stale)}; make hub writes them anew"
            )
        return
    for path in stale:
        path.write_text(files[path], encoding="utf-8")


if __name__ == "__main__":
    main()
