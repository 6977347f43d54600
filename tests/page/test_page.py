"""The page of a run: what stands in which section, and that nothing can make it fail."""

import base64
import html.parser
import json
import re

import cv2
import numpy as np
import pytest
import workdirs

from ssljax import page
from ssljax.errors import UserError
from ssljax.page import command, scores, settings
from ssljax.page.images import Album
from ssljax.page.record import File, read

SECTIONS = ("findings", "ran", "scores", "curves", "embeddings", "pictures")


class Parsed(html.parser.HTMLParser):
    """A page by section: words, and the attributes of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: dict[str, str] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._section, self._hidden = "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._hidden = tag in ("style", "script")
        if tag == "section":
            self._section = dict(attrs)["id"]

    def handle_endtag(self, tag):
        self._hidden = False
        self._section = "" if tag == "section" else self._section

    def handle_data(self, data):
        if not self._hidden:
            words = f"{self.words.get(self._section, '')} {data}"
            self.words[self._section] = " ".join(words.split())

    def all(self, tag):
        return [attributes for found, attributes in self.elements if found == tag]


def parsed(*places):
    out = page.write(places, places[0].parent / "page.html")
    return Parsed(out.read_text())


def table(words, row):
    """The numbers of a row that are told after its name."""
    return re.search(rf"{row} ([\d. ±]+)", words)[1].split()


@pytest.mark.parametrize("kind", workdirs.KINDS)
def test_every_section_is_there_and_the_page_needs_nothing_else(tmp_path, kind):
    found = parsed(workdirs.KINDS[kind](tmp_path / kind))
    assert set(SECTIONS) < set(found.words)
    assert not found.all("script")
    for attributes in (attributes for _, attributes in found.elements):
        for name in ("src", "href", "xlink:href", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert found.all("html") == [{"lang": "en"}]
    assert all(image["alt"] for image in found.all("img"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in found.all("svg"))
    assert all(cell["scope"] in ("row", "col") for cell in found.all("th"))
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1
    named = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(named) == len(set(named))


def test_what_ran_stands_beside_the_defaults_of_the_method(tmp_path):
    workdir = workdirs.joint_embedding(tmp_path / "run")
    change = {"step": 30, "key": "optimizer.learning_rate", "before": 0.3, "now": 0.1, "time": 0.0}
    (workdir / "changes.jsonl").write_text(json.dumps(change) + "\n")
    words = parsed(workdir).words["ran"]
    assert "SimCLR: two views of an image agree" in words
    assert "Chen et al., A Simple Framework" in words
    assert "method.temperature 0.2 0.1" in words
    assert "projector_layers" not in words  # It has its default.
    assert "2 x cpu" in words
    assert "0123abc-dirty" in words
    assert "60 of 60, in batches of 256 images" in words
    assert "about 15 s in train steps" in words  # 60 steps of 0.25 s.
    # The median of 1005, 1010 ... 1060.
    assert "1,032 images/s (median), 0 % of the time waiting" in words
    assert "optimizer.learning_rate 30 0.3 0.1" in words


def test_scores_stand_beside_their_baselines_and_the_best_is_strong(tmp_path):
    found = parsed(workdirs.joint_embedding(tmp_path / "run"))
    words = found.words["scores"]
    assert table(words, "raw pixels") == ["95.0", "90.0", "80.0", "±", "2.0"]
    assert table(words, "trained network") == ["96.0", "94.0", "90.0", "±", "1.0"]
    assert len(found.all("strong")) == 3
    assert "Nothing stands out" in found.words["findings"]


def test_a_generator_is_scored_in_figures_and_less_is_better(tmp_path):
    found = parsed(workdirs.gan(tmp_path / "run"))
    assert "fid 2 300 41.25" in found.words["scores"]
    text = (tmp_path / "page.html").read_text()
    assert "<strong>41.25</strong>" in text
    assert "does not beat" not in text
    # Two players share a chart, which tells of both.
    (chart,) = [svg for svg in found.all("svg") if svg["aria-label"].startswith("loss.")]
    assert "discriminator: from" in chart["aria-label"]
    assert "generator: from" in chart["aria-label"]


def test_layers_are_drawn_and_every_sheet_is_shown(tmp_path):
    found = parsed(workdirs.pretext(tmp_path / "run"))
    (chart,) = [svg for svg in found.all("svg") if "by layer" in svg["aria-label"]]
    assert "trained network: stage1 30, stage2 40, stage3 35" in chart["aria-label"]
    assert "scores-mnist-features-step60.json" in found.words["scores"]
    lost = "does not beat raw pixels in stage1/knn20 (30 against 31) (scores.json)"
    assert lost in found.words["findings"]
    assert "random network" not in found.words["findings"]


def test_maps_confusions_and_the_newest_pictures_are_shown(tmp_path):
    found = parsed(workdirs.joint_embedding(tmp_path / "run"))
    words = found.words["embeddings"]
    assert "30 images of test of digits by their features at step 60" in words
    odd = workdirs.ODD
    assert f"{odd} taken for $one$ (3 of 10) and $one$ taken for {odd} (1 of 10)" in words
    assert f"{odd} 3 7" in words
    assert "(step 10)" not in found.words["pictures"]
    assert len(found.all("img")) == 2
    # It is text in the table and in the map alike, and never an element.
    assert not found.all("b")


def test_values_that_are_not_finite_are_gaps_that_are_told(tmp_path):
    workdir = workdirs.joint_embedding(tmp_path / "run")
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 65, "online/loss": null}\n{"step": 70, "online/loss": NaN}\n')
        file.write('{"step": 75, "online/loss": 1e999}\n{"step": 80, "online/lo')
    found = parsed(workdir)
    told = "online/loss is not finite (NaN or infinite) at 3 of the logged steps, first at step 65."
    assert told in found.words["findings"]
    assert "metrics.jsonl is not whole: 1 line of it is left out" in found.words["findings"]
    assert "3 values are not finite (NaN or infinite): gaps." in found.words["curves"]


@pytest.mark.parametrize(
    "lost", ["config", "environment", "task", "metrics", "scores", "pictures", "all"]
)
def test_what_is_absent_or_damaged_is_told_in_a_sentence(tmp_path, lost):
    workdir = workdirs.joint_embedding(tmp_path / "run")
    told = {
        "config": "no config.json",
        "environment": "2 x cpu",
        "task": "no task.json",
        "metrics": "no metrics.jsonl",
        "scores": "has not been evaluated",
        "pictures": "has drawn no pictures",
    }
    if lost == "all":
        for path in (*(workdir / "pictures").iterdir(), *workdir.iterdir()):
            if path.is_file():
                path.unlink()
        (workdir / "pictures").rmdir()
        text = " ".join(parsed(workdir).words.values())
        assert "Nothing has been recorded in this workdir yet." in text
        assert all(
            sentence in text for name, sentence in told.items() if name in ("config", "scores")
        )
        return
    if lost == "pictures":
        for path in (workdir / "pictures").iterdir():
            path.write_bytes(path.read_bytes()[:40])
        text = " ".join(parsed(workdir).words.values())
        assert "pictures/neighbors_features_60.png" in text
        assert "embedding_map_60.json is damaged" in text
    else:
        file = workdir / ("metrics.jsonl" if lost == "metrics" else f"{lost}.json")
        file.write_text(file.read_text()[:17])
        damaged = " ".join(parsed(workdir).words.values())
        assert f"{file.name} is " in damaged  # Damaged, or not whole.
        file.unlink()
        text = " ".join(parsed(workdir).words.values())
    assert (told[lost] in text) == (lost != "environment")


def test_what_is_no_workdir_is_told_in_one_sentence(tmp_path, capsys):
    other = tmp_path / "photos"
    other.mkdir()
    (other / "one.jpg").write_bytes(b"")
    for place in (other, tmp_path / "nowhere", other / "one.jpg"):
        with pytest.raises(UserError, match=re.escape(str(place))):
            page.write([place])
        assert command.main([str(place)]) == 2
        told = capsys.readouterr().err.strip()
        assert told.startswith("ssljax: ")
        assert "\n" not in told
    assert [path.name for path in other.iterdir()] == ["one.jpg"]


def test_runs_that_differ_in_the_seed_alone_are_one_row(tmp_path):
    places = [
        workdirs.joint_embedding(tmp_path / f"run{seed}", seed=seed, log__every=seed + 1)
        for seed in range(3)
    ]
    for place, value in zip(places, (0.9, 0.92, 0.97), strict=True):
        scores = {"trained network": {"knn20": value}}
        workdirs.put(place / "scores.json", workdirs.sheet(scores))
    other = workdirs.joint_embedding(tmp_path / "other", optimizer__learning_rate=0.05)
    found = parsed(*places, other)
    # The mean of 90, 92 and 97 is 93, and their standard deviation √13.
    row = r"run0, run1, run2 optimizer.learning_rate 0.3 60 trained network 3 93.0 ± 3.6"
    assert row in found.words["scores"]
    assert "other optimizer.learning_rate 0.05 60 trained network 1 96.0" in found.words["scores"]
    assert "run1 60 0.3 1" in found.words["runs"]
    (chart,) = [svg for svg in found.all("svg") if "online/loss." in (svg.get("aria-label") or "")]
    assert all(f"{name}: from" in chart["aria-label"] for name in ("run0", "run1", "run2", "other"))
    # Each run has a dash of its own, besides its colour.
    dashes = [line["stroke-dasharray"] for line in found.all("line")]
    assert len(set(dashes)) == len(dashes) == 4


def _scored(place, value, **changes):
    sheet = workdirs.sheet({"trained network": {"knn20": value}}, **changes)
    workdirs.put(place / "scores.json", sheet)


def test_means_are_over_complete_sheets_of_one_step(tmp_path):
    places = [workdirs.write(tmp_path / f"run{k}", "simclr", {}, {}, seed=k) for k in range(4)]
    for place, value, changes in zip(
        places,
        (0.5, 0.7, 0.9, 0.1),
        ({}, {}, {"step": 30}, {"complete": False}),
        strict=True,
    ):
        _scored(place, value, **changes)
    table = scores.over_seeds([[read(place, place.name) for place in places]], ())
    assert [(name, *(cell.text for cell in cells)) for name, cells in table.rows] == [
        ("run0, run1", "—", "60", "trained network", "2", "60.0 ± 14.1"),  # 10 times √2.
        ("run2", "—", "30", "trained network", "1", "90.0"),
    ]


def test_a_workdir_that_is_named_twice_is_told(tmp_path):
    workdir = workdirs.write(tmp_path / "run", "simclr", {}, {})
    (tmp_path / "link").symlink_to(workdir)
    for other in (workdir, tmp_path / "link"):
        with pytest.raises(UserError, match="is named 2 times"):
            page.write([workdir, other], tmp_path / "page.html")


def test_where_methods_differ_their_names_stand_for_their_keys(tmp_path):
    records = [
        read(workdirs.write(tmp_path / f"run{k}", method, {}, {}, **changes), f"run{k}")
        for k, (method, changes) in enumerate(
            (
                ("simclr", {"seed": 1, "export__dir": "there"}),
                ("simclr", {"method__temperature": 0.2}),
                ("byol", {}),
            )
        )
    ]
    assert settings.differing(records) == ["method.name", "method.temperature", "seed"]
    assert settings.differing(records[::2]) == ["method.name"]


def test_runs_that_start_from_repetitions_are_repetitions(tmp_path):
    records = []
    for k, (seed, rate) in enumerate(((0, 0.1), (1, 0.1), (2, 0.3))):
        start = {"seed": seed, "method.name": "simclr", "optimizer.learning_rate": rate}
        changes = {f"init.run.{key}": value for key, value in start.items()}
        changes |= {"init.workdir": f"/runs/{k}", "export.dir": f"/exports/{k}", "seed": seed}
        place = workdirs.write(tmp_path / f"run{k}", "finetune", {}, {}, **changes)
        records.append(read(place, place.name))
    grouped = [[record.name for record in group] for group in settings.groups(records)]
    assert grouped == [["run0", "run1"], ["run2"]]
    assert settings.differing(records) == ["init.run.optimizer.learning_rate", "seed"]


def test_runs_are_called_by_what_tells_them_apart(tmp_path):
    places = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert page.names(places) == ["a/run", "b/run"]
    assert page.names(places[:1] * 2) == [
        f"{page.names(places[:1] * 2)[0][:-4]} ({i})" for i in (1, 2)
    ]
    assert page.names(places[:1]) == ["run"]


def test_the_command_writes_into_the_workdir_or_where_it_is_told(tmp_path, capsys, monkeypatch):
    workdir = workdirs.pretext(tmp_path / "a 'run' & more")
    monkeypatch.chdir(tmp_path)
    assert command.main([str(workdir)]) == 0
    assert capsys.readouterr().out.strip() == str(workdir / "report.html")
    assert "a &#39;run&#39; &amp; more" in (workdir / "report.html").read_text()
    assert command.main([str(workdir), "--out", "here.html"]) == 0
    assert (tmp_path / "here.html").exists()


def test_large_pictures_become_smaller_and_the_page_stays_small(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1500, 400, 3), dtype=np.uint8)
    path = tmp_path / "samples_1.png"
    path.write_bytes(cv2.imencode(".png", noise)[1].tobytes())
    assert path.stat().st_size > 1_500_000
    file, album = File("samples", 1, path), Album(1_000_000)
    shown = [album.take(file) for _ in range(3)]
    assert sum(len(one.uri) for one in shown if one) <= 1_000_000
    assert shown[0] is not None
    assert shown[2] is None
    assert album.left_out[-1] == f"{tmp_path.name}/samples_1.png"
    kind, _, content = shown[0].uri.partition(";base64,")
    assert kind == "data:image/jpeg"
    read = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert read.shape == (1400, 373, 3)
