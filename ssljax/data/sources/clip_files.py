"""The videos below a directory: files, and folders of frames."""

import os
import re
from collections import defaultdict

from ssljax import paths
from ssljax.data.sources.layout import image_suffixes
from ssljax.data.sources.listing import Listing, list_files
from ssljax.data.videos import SUFFIXES, FrameFiles, VideoFile, is_video

_DIGITS = re.compile(r"(\d+)")


def clip_suffixes() -> tuple[str, ...]:
    """The endings of images and of videos."""
    return (*image_suffixes(), *SUFFIXES)


def list_video_files(root: paths.Path) -> tuple[Listing, dict[str, list[str]]]:
    """Lists the videos below a directory.

    Args:
      root: The directory.

    Returns:
      The listing, and the files of each video by its path below the directory: the frames of a
      folder in the order of their names, with numbers in the order of their size ("2.jpg" before
      "10.jpg"), or the one file of a video.
    """
    listing = list_files(root, clip_suffixes())
    videos = defaultdict(list)
    for file in listing.images:
        videos[file if is_video(file) else os.path.dirname(file)].append(file)
    return listing, {name: sorted(files, key=_natural) for name, files in videos.items()}


def open_video(root: paths.Path, name: str, files: list[str]) -> VideoFile | FrameFiles:
    """Opens one of the videos that `list_video_files` has found."""
    return VideoFile(root / name) if is_video(name) else FrameFiles(root, files)


def find_videos(root: paths.Path) -> list[tuple[str, VideoFile | FrameFiles]]:
    """The videos below a directory, by their paths without endings, with slashes.

    The frames that lie in the directory itself are a video with its name.
    """
    _, videos = list_video_files(root)
    named = []
    for name in sorted(videos):
        plain = os.path.splitext(name)[0] if is_video(name) else name
        called = plain.replace(os.sep, "/") or root.name
        named.append((called, open_video(root, name, videos[name])))
    return named


def _natural(path: str) -> tuple[list[tuple[int, str]], str]:
    """The key by which "2" comes before "10"; "02" and "2" are told apart by themselves."""
    parts = [(int(x), "") if x.isdecimal() else (-1, x) for x in _DIGITS.split(path)]
    return parts, path
