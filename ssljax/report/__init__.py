"""What a run tells: metrics, progress, speed and tables."""

from ssljax.report.metrics import MetricWriter
from ssljax.report.progress import Progress
from ssljax.report.table import score_table
from ssljax.report.throughput import Throughput, flops, peak_flops

__all__ = ["MetricWriter", "Progress", "Throughput", "flops", "peak_flops", "score_table"]
