"""The page that shows a run, or several beside each other: one HTML file that needs no other.

It is made of what lies in the workdirs alone: no accelerator, data set or checkpoint is read.
"""

from ssljax.page.build import names, page, write
from ssljax.page.record import Record, read

__all__ = ["Record", "names", "page", "read", "write"]
