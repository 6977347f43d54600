"""What a run reports: metrics, pictures, maps, progress, speed, collapse and tables.

The page that shows all of it is `ssljax.page`; `python -m ssljax.report` writes it.
"""

from ssljax.report.collapse import CollapseWatch
from ssljax.report.embedding_map import map_picture, plane
from ssljax.report.metrics import MetricWriter
from ssljax.report.overlays import boxed, class_colors, overlaid
from ssljax.report.pictures import Picture, beside, encode_png, grid, save_notes, save_pictures
from ssljax.report.progress import Progress
from ssljax.report.sheet import GENERATORS, TRANSLATORS, ScoreSheet, free_path, own_path
from ssljax.report.table import figure_table, score_table
from ssljax.report.throughput import Throughput, flops, peak_flops
from ssljax.report.tracking import tracked

__all__ = [
    "GENERATORS",
    "TRANSLATORS",
    "CollapseWatch",
    "MetricWriter",
    "Picture",
    "Progress",
    "ScoreSheet",
    "Throughput",
    "beside",
    "boxed",
    "class_colors",
    "encode_png",
    "figure_table",
    "flops",
    "free_path",
    "grid",
    "map_picture",
    "overlaid",
    "own_path",
    "peak_flops",
    "plane",
    "save_notes",
    "save_pictures",
    "score_table",
    "tracked",
]
