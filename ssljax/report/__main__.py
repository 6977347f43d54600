"""Writes the page of a run: python -m ssljax.report DIR [DIR ...] [--out FILE]."""

import sys

from ssljax.page.command import main

if __name__ == "__main__":
    sys.exit(main())
