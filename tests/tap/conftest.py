import sys
from pathlib import Path

import pytest

# The fake CRM stands beside the tests, which are not a package.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def appcrm_sandbox_factory(appcrm_sandbox_factory):
    """Sandboxes of the last version that looks up many addresses with `in`, unless a test asks for another."""
    return lambda **given: appcrm_sandbox_factory(**{"app_version": "1.6", **given})
