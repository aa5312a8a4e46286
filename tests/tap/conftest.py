import sys
from pathlib import Path

# The fake CRM stands beside the tests, which are not a package.
sys.path.insert(0, str(Path(__file__).parent))
