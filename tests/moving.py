"""Videos for tests: files in several formats, and a square that moves before a camera that does."""

import pathlib

import cv2
import numpy as np

FORMATS = {
    "plain.mp4": "mpeg4",
    "reordered.mp4": "libx264",
    "plain.avi": "mpeg4",
    "reordered.avi": "libx264",
    "clip.mkv": "libx264",
    "clip.webm": "libvpx-vp9",
}
"""Names of files with the codecs to write them by; h264 stores frames in another order."""
_GROUP, _BITS = 12, 4_000_000


def texture(height, width, seed):
    """Smooth noise of full contrast, float64, (height, width)."""
    noise = np.random.default_rng(seed).random((height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return 255 * (smooth - smooth.min()) / np.ptp(smooth)


def numbered(count, height=32, width=48):
    """Frames that tell their number: each is one grey level, four times it; on noise below."""
    frames = []
    for number in range(count):
        frame = np.full((height, width), 4.0 * number)
        frame[height // 2 :] = np.roll(texture(height // 2, width, 0), number, axis=1)
        frames.append(np.repeat(np.rint(frame).astype(np.uint8)[..., None], 3, axis=2))
    return frames


def number_of(frame):
    """The number that a frame of `numbered` tells."""
    top = np.asarray(frame, np.float64)[: len(frame) // 2 - 2]
    return round(float(top.mean()) / 4)


def write_video(path: pathlib.Path, frames, codec="libx264", rate=25) -> pathlib.Path:
    """Writes frames, red, green and blue, as a video, with a key frame in every twelve."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = _GROUP
        stream.codec_context.bit_rate = _BITS
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_frames(folder: pathlib.Path, frames) -> pathlib.Path:
    """Writes frames, red, green and blue, as images without loss, and gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:05d}.png"), frame[..., ::-1])
    return folder


def scene(count, camera, square, side=24, size=(96, 128), start=(40, 36)):
    """A square of its own texture, before a background that a camera passes.

    Args:
      count: Frames.
      camera: (x, y) by which the background moves from frame to frame, in whole pixels.
      square: (x, y) by which the square does.
      side: Of the square.
      size: Height and width.
      start: (left, top) of the square in the first frame.

    Returns:
      The frames, and (left, top) of the square in each.
    """
    height, width = size
    ground, front = texture(2 * height, 2 * width, 1), texture(side, side, 2)
    frames, corners = [], []
    for number in range(count):
        top, left = (height // 2 - number * camera[1], width // 2 - number * camera[0])
        frame = ground[top : top + height, left : left + width].copy()
        x, y = (start[axis] + number * square[axis] for axis in (0, 1))
        frame[y : y + side, x : x + side] = front
        frames.append(np.repeat(np.rint(frame).astype(np.uint8)[..., None], 3, axis=2))
        corners.append((x, y))
    return frames, corners
