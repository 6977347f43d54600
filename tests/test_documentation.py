"""What the documentation makes of the code is whole, and the method that it shows learns."""

import importlib.util
import json
import math
import re

import numpy as np
import pytest
import runs
from from_code import comments, families, keys

import ssljax
from ssljax import catalog, main, methods
from ssljax.config import base_config, flatten

EXAMPLE = runs.ROOT / "docs" / "examples" / "align_uniform.py"


@pytest.fixture(name="pages", scope="module")
def _pages():
    return keys.key_pages()


def test_every_method_stands_in_the_table_of_its_family_with_its_configs():
    listed = {}
    for family in families.FAMILIES:
        table = families.method_table(families.family_methods(family))
        listed |= {line.split("`")[1]: line for line in table.splitlines()[2:] if line}
        page = runs.ROOT / "docs" / "families" / f"{family}.md"
        assert f"made/methods_{family}.md" in page.read_text()
        if family == "joint_embedding":
            for method in families.family_methods(family).values():
                assert families.title_and_paper(method)[0].partition(":")[0] in page.read_text()
    assert listed.keys() == methods.REGISTRY.keys()
    for name in catalog.files():
        assert f"`{name}`" in listed[name.partition("/")[0]]
    assert "knn20 **76.8 ± 0.3** / 55.8 ± 5.9" in listed["simclr"]
    assert "Chen et al., A Simple Framework" in listed["simclr"]


def test_every_key_is_listed(pages):
    common = set(re.findall(r"^\| `([\w.]+)` \|", pages["keys"], re.MULTILINE))
    sections = re.split(r"^## `(\w+)`$", pages["method_keys"], flags=re.MULTILINE)
    of_methods = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert of_methods.keys() == methods.REGISTRY.keys()
    for name, section in of_methods.items():
        own = set(re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE))
        missing = {
            key
            for key in flatten(base_config(name))
            if key not in common | own and not any(key.startswith(f"{view}.") for view in own)
        }
        assert not missing, name


def test_keys_have_what_the_code_says_of_them(pages):
    for page, line in (
        (
            "keys",
            "| `data.max_corrupt` | `0` | Images or videos that may be unreadable before",
        ),
        (
            "keys",
            "| `optimizer.hold` | `0.0` | Share of the run, after the warm-up, at the highest",
        ),
        ("keys", "| `evals.svm.seeds` | `5` | Draws of each. |"),
        ("method_keys", "| `method.koleo_weight` | `0.0` | DINOv2: 0.1. |"),
        ("networks", "| `drop_path` | Probability in [0, 1) of dropping a path of the last block"),
    ):
        assert line in pages[page]

    def function(config):
        # Above,
        # in two lines.
        config.one = dict(two=2)  # Beside.
        config.three = 3

        config.both = dict(four=4, five=5)  # Of the group.

    assert comments.comments(function) == {
        "one": "Above, in two lines.",
        "one.two": "Beside.",
        "both": "Of the group.",
    }


def test_no_note_serves_two_groups_and_none_lacks_in_short_ones(pages):
    groups, bare = {}, []
    for line in pages["keys"].splitlines():
        if line.startswith("| `"):
            key, _, note = (cell.strip(" `") for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            groups.setdefault(note, set()).add(key.partition(".")[0])
            short = ("init", "translate", "embed", "export", "mesh", "log", "checkpoint")
            if not note and key.startswith(short):
                bare.append(key)
    assert not bare
    assert not {note: of for note, of in groups.items() if note and len(of) > 1}


def test_every_section_of_results_that_names_a_config_is_shown_or_left_out():
    text = (runs.ROOT / "benchmarks" / "RESULTS.md").read_text()
    sections = dict(
        section.split("\n", 1) for section in re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]
    )
    known = {*families.FIGURES, *families.LEFT_OUT}
    assert known <= sections.keys()
    naming = {
        heading
        for heading, body in sections.items()
        if {*re.findall(r"\w+/\w+", body)} & catalog.files().keys()
    }
    assert not naming - known
    found = families.results_of(text)
    assert "A generator that grows: FID trained **0.206**, FID random 2.15" in found["progan"]
    assert "Detection of blood cells: AP **39.0**, AP50 **59.7**, minutes 7.9" in found["detect"]
    for method in ("cyclegan", "pix2pix", "segment", "multi_label"):
        assert len(found[method]) > 0


def test_the_method_of_the_documentation_learns_and_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "REGISTRY", dict(methods.REGISTRY))
    assert main.main(runs.arguments(tmp_path, EXAMPLE, steps=2)) == 0
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(line["online/loss"]) for line in lines)
    rows = ssljax.load(tmp_path).embed(np.zeros((3, 8, 8, 1), np.uint8))
    assert rows.shape == (3, 8)


def test_its_uniformity_is_the_papers(monkeypatch):
    monkeypatch.setattr(methods, "REGISTRY", dict(methods.REGISTRY))
    spec = importlib.util.spec_from_file_location("align_uniform", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = np.random.default_rng(0).normal(size=(5, 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    potential = np.mean([np.exp(-2 * np.sum((rows[i] - rows[j]) ** 2)) for i, j in pairs])
    found = module._uniformity(np.float32(rows))
    np.testing.assert_allclose(found, np.log(potential), rtol=1e-4)
