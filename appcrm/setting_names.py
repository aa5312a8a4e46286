"""Names of settings that nobody knows: said with the nearest that somebody does, before anything runs without them."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from appcrm.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

RESEMBLES = 0.6
"""How alike a name must be to be named as the one that was meant."""
NEAR_MISS = 0.85
"""How alike a variable must be to be taken for a setting: others with the prefix may be anybody's."""


def unknown_names(names: Iterable[str], known: Collection[str], command: str) -> Iterator[str]:
    """Yield a sentence for each name of a configuration that is no setting.

    Args:
        names: as given.
        known: all that the command or its SDK defines.
        command: its name, for the message.
    """
    for name in sorted(set(names) - set(known)):
        meant = nearest(name, known, RESEMBLES)
        told = f"did you mean {meant}?" if meant else f"{command} --about lists all settings"
        yield f"{printable(name, 60)} is not a setting of {command}: {told}"


def near_misses(variables: Iterable[str], known: Collection[str], prefix: str) -> Iterator[str]:
    """Yield a sentence for each environment variable that all but names a setting.

    Args:
        variables: names of the environment.
        known: all that the command or its SDK defines.
        prefix: of the command's variables, such as ``TAP_APPCRM_``.
    """
    for variable in sorted(variables):
        name = variable.removeprefix(prefix).lower()
        # Meltano's own begin with a second underscore.
        if not variable.startswith(prefix) or name in known or name.startswith("_"):
            continue
        meant = nearest(name, known, NEAR_MISS)
        if meant:
            yield f"{printable(variable, 80)} names no setting: did you mean {prefix}{meant.upper()}?"


def nearest(name: str, known: Iterable[str], at_least: float) -> str | None:
    """Return the known name that is most like another, if any is enough."""
    scored = [(SequenceMatcher(None, _bare(name), _bare(other)).ratio(), other) for other in sorted(known)]
    score, found = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return found if score >= at_least else None


def _bare(name: str) -> str:
    return name[:100].lower().replace("_", "").replace("-", "")
