"""The files below a directory: each once, however many links lead to it."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ssljax import paths
from ssljax.errors import UserError


class Listing(NamedTuple):
    """What was found.

    Attributes:
      images: Paths, relative to the directory, in no particular order.
      folders: Names of the first-level folders, sorted, but for repeated ones; empty ones count.
      skipped: How many other files there are of each kind: an ending such as ".txt", "hidden",
        "without an ending" or "no regular file".
      repeated: Links to folders that were read already.
      sizes: Bytes of each image, where they are listed with the names, as in a bucket.
    """

    images: list[str]
    folders: list[str]
    skipped: Counter[str]
    repeated: int
    sizes: dict[str, int]


def list_files(root: paths.Path, suffixes: tuple[str, ...], first: bool = False) -> Listing:
    """Lists a directory and all folders below it; hidden folders are left out.

    Args:
      root: The directory.
      suffixes: Endings of images, in lower case.
      first: Whether to stop at the first folder with an image.

    Returns:
      The listing.
    """
    listing = Listing([], [], Counter(), 0, {})
    if not isinstance(root, Path):
        return _list_bucket(root, suffixes, listing)
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
            elif hidden or entry.is_file():
                _add(prefix + entry.name, suffixes, listing)
            else:  # Reading a pipe would block; a link may be broken.
                listing.skipped["no regular file"] += 1
    return folders, links


def _list_bucket(root: paths.Path, suffixes: tuple[str, ...], listing: Listing) -> Listing:
    """Lists what lies below a place in a bucket, with sizes: one request a thousand files."""
    store, key = paths.files(root)
    folders = set()
    for name, about in store.find(key, detail=True).items():
        file = name.removeprefix(f"{key}/")
        above = file.split("/")[:-1]
        if file.endswith("/") or any(folder.startswith(".") for folder in above):
            continue
        folders |= set(above[:1])
        if _add(file, suffixes, listing):
            listing.sizes[file] = about["size"]
    return listing._replace(folders=sorted(folders))


def _add(file: str, suffixes: tuple[str, ...], listing: Listing) -> bool:
    """Adds a file by its name, and says whether it is an image."""
    name = os.path.basename(file)
    suffix = os.path.splitext(name)[1].lower()
    if not name.startswith(".") and name.lower().endswith(suffixes):
        listing.images.append(file)
        return True
    listing.skipped["hidden" if name.startswith(".") else suffix or "without an ending"] += 1
    return False
