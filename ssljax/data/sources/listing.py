"""The files below a directory: each once, however many links lead to it."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ssljax.errors import UserError


class Listing(NamedTuple):
    """What was found.

    Attributes:
      images: Paths, relative to the directory, in no particular order.
      folders: Names of the first-level folders, sorted, but for repeated ones; empty ones count.
      skipped: How many other files there are of each kind: an ending such as ".txt", "hidden",
        "without an ending" or "no regular file".
      repeated: Links to folders that were read already.
    """

    images: list[str]
    folders: list[str]
    skipped: Counter[str]
    repeated: int


def list_files(root: Path, suffixes: tuple[str, ...], first: bool = False) -> Listing:
    """Lists a directory and all folders below it; hidden folders are left out.

    Args:
      root: The directory.
      suffixes: Endings of images, in lower case.
      first: Whether to stop at the first folder with an image.

    Returns:
      The listing.
    """
    listing = Listing([], [], Counter(), 0)
    seen: set[tuple[int, int]] = set()
    # Links come last, so that an image is known by its own place if that is below the root too.
    folders, links = [root], list[Path]()
    repeated: list[Path] = []
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                repeated.append(folder)
                continue
            seen.add((status.st_dev, status.st_ino))
            below, below_links = _list_folder(root, folder, suffixes, listing)
        except OSError as error:
            raise UserError(
                f"The directory {folder} cannot be read ({error.strerror}): make it readable, or"
                " move it away."
            ) from error
        folders += below
        links += below_links
        if first and listing.images:
            break
    names = {folder.name for folder in repeated if folder.parent == root}
    kept = sorted(name for name in listing.folders if name not in names)
    return listing._replace(folders=kept, repeated=len(repeated))


def _list_folder(
    root: Path, folder: Path, suffixes: tuple[str, ...], listing: Listing
) -> tuple[list[Path], list[Path]]:
    """Adds one folder to the listing, and gives the folders and the linked folders in it."""
    folders: list[Path] = []
    links: list[Path] = []
    prefix = "" if folder == root else os.path.relpath(folder, root) + os.sep
    with os.scandir(folder) as entries:
        # Sorted backwards, since the last is read first.
        for entry in sorted(entries, key=lambda entry: entry.name, reverse=True):
            hidden = entry.name.startswith(".")
            if entry.is_dir():
                if hidden:
                    continue
                (links if entry.is_symlink() else folders).append(Path(entry.path))
                if folder == root:
                    listing.folders.append(entry.name)
            elif hidden:
                listing.skipped["hidden"] += 1
            elif not entry.is_file():  # Reading a pipe would block; a link may be broken.
                listing.skipped["no regular file"] += 1
            elif entry.name.lower().endswith(suffixes):
                listing.images.append(prefix + entry.name)
            else:
                suffix = os.path.splitext(entry.name)[1].lower()
                listing.skipped[suffix or "without an ending"] += 1
    return folders, links
