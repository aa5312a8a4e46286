"""How Hypothesis searches in all tests: by counts of examples, never by the clock, and the same ones each time.

`make search` looks further: it loads the profile `search`, with a seed that it prints. `make mutation` only wants to
know whether a claim fails, and not by which smallest example.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "claims",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
    print_blob=True,
)
settings.register_profile(
    "search",
    settings.get_profile("claims"),
    derandomize=False,
    max_examples=int(os.environ.get("SEARCH_EXAMPLES", "1000")),
)
settings.register_profile(
    "mutation", settings.get_profile("claims"), phases=(Phase.explicit, Phase.generate), max_examples=40
)
settings.load_profile(os.environ.get("SEARCH_PROFILE", "claims"))
