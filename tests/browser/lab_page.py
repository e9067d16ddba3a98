"""What tests of the page of `striate lab` share."""

import re

STRIDE = "7x7x1 -> conv 3x3 /3"


def settled(page, text):
    """Wait until the last check is answered, and its number of findings is such a text."""
    page.locator("#lab-count", has_text=re.compile(text)).wait_for(state="attached", timeout=15_000)
    page.locator("#lab-count:not([data-busy=true])").wait_for(state="attached", timeout=15_000)
