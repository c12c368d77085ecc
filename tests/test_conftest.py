"""Shared fixtures cost nothing in a test that doesn't use them."""

import subprocess
import sys
from pathlib import Path


def test_it_imports_nothing_that_takes_long() -> None:
    slow = "{'torch', 'pandas', 'diffusers', 'transformers', 'ray'}"
    code = f"import sys\nimport conftest\nloaded = {slow} & set(sys.modules)\nassert not loaded, loaded\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
