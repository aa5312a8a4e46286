"""Runs appcrm-report as a user does."""

import sys
from pathlib import Path

import pytest

from appcrm_report.cli import main

# What stands beside the tests, which are not a package.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def report(capsys):
    """Run the command; returns its exit code, what it said and what it complained of."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
