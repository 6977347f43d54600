"""From workdirs to one page."""

from __future__ import annotations

import collections
import functools
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from ssljax import paths
from ssljax.errors import UserError
from ssljax.page import embeddings, scores, settings
from ssljax.page.charts import Pencil, swatch
from ssljax.page.findings import findings, wait_share
from ssljax.page.images import LARGEST, Album
from ssljax.page.record import Record, read
from ssljax.page.series import (
    Chart,
    charts_of_one,
    charts_of_several,
    constants,
    listed,
    number,
)

_NOTE = "embedding_map"


def write(workdirs: Sequence[paths.Path], out: paths.Path | None = None) -> paths.Path:
    """Writes the page of one run, or of several beside each other.

    Args:
      workdirs: Of the runs, at least one, on a disk or in a bucket.
      out: The file; by default `report.html` in the workdir, or, of several, in the current
        directory.

    Returns:
      The file.

    Raises:
      UserError: If one of them is no workdir, or stands there twice.
    """
    same = [str(place) for place in map(_real, workdirs)]
    for place, count in collections.Counter(same).items():
        if count > 1:
            raise UserError(f"{place} is named {count} times: name each --workdir once.")
    records = [read(place, name) for place, name in zip(workdirs, names(workdirs), strict=True)]
    if out is None:
        out = workdirs[0] / "report.html" if len(workdirs) == 1 else paths.resolve("report.html")
    paths.write(out, page(records).encode(errors="replace"))
    return out


def _real(place: paths.Path) -> paths.Path:
    return place if paths.is_remote(place) else pathlib.Path(place).resolve()


def names(workdirs: Sequence[paths.Path]) -> list[str]:
    """Short names of runs: the last parts of their paths, as many as tell them apart."""
    parts = [[part for part in place.parts if part.strip("/")] or ["/"] for place in workdirs]
    for count in range(1, max(map(len, parts))):
        short = ["/".join(part[-count:]) for part in parts]
        if len(set(short)) == len(short):
            return short
    whole = ["/".join(part) for part in parts]
    twice = collections.Counter(whole)
    return [name if twice[name] == 1 else f"{name} ({i + 1})" for i, name in enumerate(whole)]


def page(records: Sequence[Record]) -> str:
    """The page of some runs.

    Args:
      records: At least one.
    """
    pencil = Pencil()
    several = len(records) > 1
    runs = [_run(record, pencil, LARGEST // len(records), several) for record in records]
    context: dict[str, Any] = {
        "title": f"{len(records)} runs" if several else records[0].name,
        "runs": runs,
        "several": _several(records, pencil) if several else None,
    }
    return _template().render(context)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ssljax.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _run(record: Record, pencil: Pencil, room: int, several: bool) -> dict[str, Any]:
    """All that is told of one run; of several, their curves stand in charts together."""
    album = Album(room)
    maps = {
        file.path.with_suffix(".png"): made
        for file, note in record.notes
        if file.kind == _NOTE and (made := embeddings.of(note, pencil))
    }
    of_maps = [file for file in record.pictures if file.path in maps]
    pictures = [file for file in record.pictures if file.path not in maps]
    does, papers = settings.method_of(record)
    by_layer = [
        Markup(pencil.layers(one.score, one.stages, one.rows))
        for sheet in record.sheets.values()
        for one in scores.layers(sheet)
    ]
    titles = [
        f"{one.score} by layer" for sheet in record.sheets.values() for one in scores.layers(sheet)
    ]
    return {
        "name": record.name,
        "workdir": str(record.workdir),
        "method": record.config.get("method.name", ""),
        "does": does,
        "papers": papers,
        "findings": findings(record),
        "facts": _facts(record),
        "settings": settings.beside_defaults(record),
        "has_config": bool(record.config),
        "changes": [
            {
                "step": change["step"],
                "key": str(change.get("key", "?")),
                "before": settings.told(change.get("before")),
                "now": settings.told(change.get("now")),
            }
            for change in record.changes
        ],
        "curves": {} if several else _curves(charts_of_one(record.series), pencil),
        "constants": ""
        if several
        else listed(
            [f"{name} {number(value)}" for name, value in constants(record.series).items()]
        ),
        "tables": [
            one for name, sheet in record.sheets.items() for one in scores.tables(name, sheet)
        ],
        "layers": list(zip(titles, by_layer, strict=True)),
        "maps": [
            {
                "svg": Markup(made.svg),
                "told": made.told,
                "confusions": made.confusions,
                "pictures": _taken(album, [file for file in of_maps if file.path == path]),
            }
            for path, made in maps.items()
        ],
        "pictures": _taken(album, pictures),
        "left_out": album.left_out,
    }


def _taken(album: Album, files: Sequence[Any]) -> list[Any]:
    return [shown for file in files if (shown := album.take(file)) is not None]


def _several(records: Sequence[Record], pencil: Pencil) -> dict[str, Any]:
    """What is told of several runs beside each other."""
    keys = settings.differing(records)
    groups = settings.groups(records)
    charts = charts_of_several({record.name: record.series for record in records})
    return {
        "differing": keys,
        "lines": [
            {
                "name": record.name,
                "swatch": Markup(swatch(place)),
                "step": f"{record.step:,}",
                "values": [settings.values(record, keys)[key] for key in keys],
            }
            for place, record in enumerate(records)
        ],
        "table": scores.over_seeds(groups, [key for key in keys if key != "seed"]),
        "curves": _curves(charts, pencil),
    }


def _curves(
    charts: Mapping[str, Sequence[Chart]], pencil: Pencil
) -> dict[str, list[dict[str, Any]]]:
    return {
        section: [
            {
                "title": _TITLES.get(chart.title, chart.title),
                "svg": Markup(pencil.lines(chart)),
                "is_logarithmic": chart.is_logarithmic,
                "gaps": chart.gaps,
            }
            for chart in found
        ]
        for section, found in charts.items()
    }


_TITLES = {
    "images_per_second": "images per second",
    "waiting": "per cent of the time spent waiting for data",
    "mfu": "share of the device's peak FLOP/s (MFU)",
}


def _facts(record: Record) -> list[tuple[str, str]]:
    """What ran, where, and for how long."""
    config, environment = record.config, record.environment
    versions = environment.get("versions", {})
    devices = [str(device) for device in _list(environment.get("devices"))]
    kinds = collections.Counter(device.rpartition(" ")[0] or device for device in devices)
    sets = _list(record.data.get("training_set"))
    known = [one for one in sets if isinstance(one, dict)]
    images = known[-1].get("images") if known else record.task.get("num_images")
    facts = {
        "Workdir": str(record.workdir),
        "Data set": _data(config, images),
        "Seed": str(config.get("seed", "")),
        "Steps": _steps(record),
        "Time": _time(record),
        "Throughput": _throughput(record),
        "Devices": listed([f"{count} x {kind}" for kind, count in kinds.items()])
        + (
            f" in {environment['processes']} processes"
            if environment.get("processes", 1) != 1
            else ""
        ),
        "Commit": str(environment.get("git", "")),
        "Versions": ", ".join(
            f"{name} {version}"
            for name, version in (("python", environment.get("python")), *_items(versions))
            if version
        ),
        "Platform": str(environment.get("platform", "")),
    }
    return [(name, text) for name, text in facts.items() if text]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _data(config: Mapping[str, Any], images: Any) -> str:
    name = config.get("data.name", "")
    if not name:
        return ""
    count = f", {images:,} images" if isinstance(images, int) else ""
    size = f", {config['data.image_size']} pixels a side" if "data.image_size" in config else ""
    return f"{name}, {config.get('data.split', 'train')}{count}{size}"


def _steps(record: Record) -> str:
    if not record.series:
        return ""
    total = record.total_steps
    text = f"{record.step:,}" + (f" of {total:,}" if total is not None else "")
    batch = record.config.get("batch_size")
    return text + (f", in batches of {batch:,} images" if isinstance(batch, int) else "")


def _time(record: Record) -> str:
    """The time of the steps alone, as their speed was logged."""
    one = record.series.get("step_seconds")
    if one is None:
        return ""
    known = np.isfinite(one.values)
    seconds = float(np.sum(np.diff(one.steps, prepend=0)[known] * one.values[known]))
    return (
        f"about {_duration(seconds)} in train steps, without compiling, saving and evaluating"
        if seconds > 0
        else ""
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _throughput(record: Record) -> str:
    one = record.series.get("images_per_second")
    if one is None or not np.isfinite(one.values).any():
        return ""
    text = f"{np.nanmedian(one.values):,.0f} images/s (median)"
    share = wait_share(record.series)
    return text + (
        f", {100 * share:.0f} % of the time waiting for data" if share is not None else ""
    )
