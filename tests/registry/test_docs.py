"""Pages in docs/ that are derived from the source. They are never edited: `make docs` rewrites them."""

import subprocess
import sys

import pytest

PAGES = {"rules.md": ["explain", "--all", "--markdown"], "models.txt": ["models"]}


@pytest.mark.parametrize("page", PAGES)
def test_page_says_what_the_command_says(golden, page):
    answer = subprocess.run(
        [sys.executable, "-m", "striate", *PAGES[page]], capture_output=True, text=True, encoding="utf-8"
    )
    assert answer.returncode == 0, answer.stderr
    golden(f"../../docs/{page}", answer.stdout)
