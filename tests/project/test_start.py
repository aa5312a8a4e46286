"""What a start does without: modules that the SDK imports and a plain run never calls."""

import json
import subprocess
import sys

import pytest

# One process for each: what a module brings can be seen only where nothing has brought it before.
IMPORTED = """
import json, sys
from {package} import start
sys.argv = ["command", "--version"]
try:
    start.main()
except SystemExit:
    pass
print(json.dumps(sorted(name for name in {names} if name in sys.modules)))
"""
USED = """
from appcrm.deferral import deferred
with deferred():
    from joblib import Parallel, delayed, parallel_config, cpu_count
    from upath import UPath
    from singer_sdk import RESTStream, StreamSchema
    import importlib.metadata, sys
    from importlib import metadata
    from importlib.metadata import version
    from dotenv import find_dotenv
    from dotenv.main import DotEnv
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version
    {during}
import joblib, upath
assert joblib.Parallel(n_jobs=1)(joblib.delayed(abs)(n) for n in (-1, 2)) == [1, 2]
with parallel_config(backend="threading"):
    assert Parallel(n_jobs=1)(delayed(abs)(n) for n in (-1, 2)) == [1, 2]
assert isinstance(UPath("memory:///folder/file"), upath.UPath)
assert cpu_count() == joblib.cpu_count() > 0
from pathlib import Path
from singer_sdk.schema.source import StreamSchema as Real
assert isinstance(StreamSchema(Path("schemas")), Real)
from singer_sdk.streams.rest import RESTStream as Base
class Own(RESTStream):
    name = "own"
assert issubclass(Own, Base)
assert not isinstance(Path(), StreamSchema)
assert RESTStream.extra_retry_statuses == Base.extra_retry_statuses
assert version("msgspec") == metadata.version("msgspec") == importlib.metadata.version("msgspec")
assert "importlib.metadata._meta" in sys.modules
assert isinstance(find_dotenv(), str)
assert DotEnv("absent").dict() == {{}}
assert Version("3.11") in SpecifierSet(">=3.10")
"""


def out(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("package", ["tap_appcrm", "target_appcrm"])
def test_a_start_imports_no_module_that_it_does_without(package):
    names = [
        *("joblib", "upath", "fsspec", "psutil", "requests", "backoff", "asyncio"),
        *("dotenv", "dotenv.main", "importlib_metadata", "packaging.specifiers", "packaging.version"),
        "singer_sdk",
    ]
    assert json.loads(out(IMPORTED.format(package=package, names=names))[-1]) == ["singer_sdk"]


@pytest.mark.parametrize(
    "during", ["pass", "import upath; upath.UnsupportedOperation", "import upath.registry"]
)
def test_what_is_deferred_does_what_it_says_when_it_is_called(during):
    out(USED.format(during=during))


def test_what_was_imported_before_stays_as_it_is():
    code = """
import joblib
from appcrm.deferral import deferred
with deferred():
    from joblib import Parallel
assert Parallel is joblib.Parallel
"""
    out(code)


def test_a_module_that_is_not_deferred_gives_its_own_error():
    code = """
from appcrm.deferral import deferred
with deferred():
    try:
        from joblib import nothing_of_the_kind
    except ImportError as error:
        assert "nothing_of_the_kind" in str(error)
    else:
        raise AssertionError
import joblib
joblib.Parallel
"""
    out(code)
