"""The command `appcrm-sandbox`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from appcrm_sandbox.app_version import NEWEST
from appcrm_sandbox.errors import SandboxError
from appcrm_sandbox.settings import CHOICES, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_PORT = 8765
DEFAULT_DATABASE = "appcrm-sandbox.sqlite3"
DEFAULT_CONTACTS = 200
_INTERRUPTED = 130
_NEEDED = ("starlette", "uvicorn", "faker", "yaml")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help).\n")


def _whole(least: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    return check


class _Version(argparse.Action):
    """Looks the version up only when asked for: a checkout that is not installed has none."""

    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> NoReturn:
        sys.stdout.write(f"{parser.prog} v{version('appcrm-connectors')}\n")
        parser.exit()


def _not_empty(text: str) -> str:
    # An empty host is every address of the machine to a socket, and an empty path the current folder.
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def make_parser() -> argparse.ArgumentParser:
    """Every flag; a switch of Settings that is not given keeps its default."""
    parser = _Parser(
        prog="appcrm-sandbox", description="A local AppCRM with its awkward ways, for tests and first steps."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the package's version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve", parser_class=_Parser)
    serve = commands.add_parser("serve", help="serve the API, the request log and the control plane")
    add = serve.add_argument
    add("--host", type=_not_empty, default="127.0.0.1", help="address to listen on (default %(default)s)")
    add(
        "--port",
        type=_whole(0),
        default=DEFAULT_PORT,
        help="port to listen on; 0 picks a free one (default %(default)s)",
    )
    add(
        "--database",
        type=lambda text: Path(_not_empty(text)),
        default=Path(DEFAULT_DATABASE),
        metavar="FILE",
        help="SQLite file (default %(default)s)",
    )
    add(
        "--contacts",
        type=_whole(0),
        default=DEFAULT_CONTACTS,
        metavar="N",
        help="contacts in a new file (default %(default)s)",
    )
    add(
        "--seed",
        type=_whole(0),
        default=1,
        metavar="S",
        help="what a new file's data is drawn from (default %(default)s)",
    )
    add("--token", help="the bearer token to ask for (default sandbox-token)")
    add(
        "--app-version",
        choices=CHOICES["app_version"],
        help=f"the version of AppCRM to be (default {NEWEST})",
    )
    add("--latency-ms", type=_whole(0), metavar="L", help="every answer waits this long (default 0)")
    add("--rate-limit", type=_whole(1), metavar="R", help="requests a minute (default none)")
    add("--faults", type=Path, metavar="FILE", help="YAML or JSON file of fault rules")
    add(
        "--custom-field",
        action="append",
        default=[],
        metavar="NAME:TYPE",
        help="declare a further custom field; repeatable",
    )
    add(
        "--max-per-page",
        type=_whole(1),
        metavar="N",
        help="the largest per_page that is honoured (default 100)",
    )
    add("--fixed-per-page", type=_whole(1), metavar="N", help="ignore per_page and always serve N rows")
    flag = argparse.BooleanOptionalAction
    add(
        "--phone-unique",
        action=flag,
        default=None,
        help="refuse a phone that another contact has (default yes)",
    )
    add(
        "--phone-prefix",
        action=flag,
        default=None,
        help="a phone without a calling prefix gets its country's or is refused (default yes)",
    )
    add("--list-associations", action=flag, default=None, help="honour with= on lists (default yes)")
    add(
        "--show-activities",
        action=flag,
        default=None,
        help="one contact shows its activities too (default no)",
    )
    add(
        "--attach-by-domain",
        action=flag,
        default=None,
        help="a new contact gets the companies of its e-mail domain (default yes)",
    )
    add("--log-requests", action=flag, default=None, help="one line a request on standard error (default no)")
    add("--search-in", choices=CHOICES["search_in"], help="the search operator `in` (default by_version)")
    add("--search-minds-case", action=flag, default=None, help="searches compare case (default no)")
    add(
        "--unknown-search-field",
        type=int,
        choices=(403, 500),
        help="the status for an unknown search field (default 403)",
    )
    add("--order-updated-at", choices=CHOICES["order_updated_at"], help="order=updated_at (default allowed)")
    add("--envelope", choices=CHOICES["envelope"], help="how answers are wrapped (default standard)")
    add("--timestamps", choices=CHOICES["timestamps"], help="how moments are written (default iso)")
    add(
        "--shapes",
        choices=CHOICES["shapes"],
        help="tags, options and associations as objects or plain (default objects)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command; exits 0 after a signal to end, 2 on bad flags, 1 on anything else."""
    given = make_parser().parse_args(arguments)
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        _fail("the sandbox's own dependencies are missing: install appcrm-connectors[sandbox].")
    from appcrm_sandbox.running import serve  # noqa: PLC0415  needs the extra, which was just checked

    names = Settings.__dataclass_fields__
    switches = {name: value for name, value in vars(given).items() if name in names and value is not None}
    try:
        serve(given, Settings(**switches))
    except SandboxError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    sys.exit(f"appcrm-sandbox: {sentence}")
