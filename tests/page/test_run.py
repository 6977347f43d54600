"""The page that a training writes at its end, however it ends."""

import runs

from ssljax import main, page

SHOWN = {"log__report": True, "steps": 3}


def test_a_training_ends_with_a_page_of_itself(tmp_path):
    evaluated = {
        "evals__final": "('knn','embedding_map')",
        "evals__knn__neighbors": "((5,0.1),)",
        "evals__train_split": "train[:60]",
        "evals__test_split": "test[:20]",
        "evals__batch_size": 32,
        "evals__embedding_map__projection": "pca",
    }
    assert main.main(runs.arguments(tmp_path / "run", **SHOWN, **evaluated)) == 0
    text = (tmp_path / "run" / "report.html").read_text()
    assert "3 of 3, in batches of 16 images" in text
    assert "trained network" in text
    assert "20 images of test[:20] of digits by their features at step 3" in text
    assert text.count("<img") == 1
    assert "online/loss. " in text


def test_a_page_that_cannot_be_written_fails_no_run(tmp_path, monkeypatch, capsys):
    def fail(workdirs):
        raise RuntimeError("a fault")

    monkeypatch.setattr(page, "write", fail)
    assert main.main(runs.arguments(tmp_path / "run", **SHOWN)) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "report.html" in line]
    assert len(told) == 1
    assert told[0].startswith(
        "W report.html could not be written (a fault): python -m ssljax.report"
    )
    assert (tmp_path / "run" / "checkpoints" / "3").exists()


def test_a_run_that_diverges_is_shown(tmp_path):
    rate = {
        "optimizer__name": "sgd",
        "optimizer__learning_rate": 1e30,
        "optimizer__scaling": "none",
    }
    assert main.main(runs.arguments(tmp_path / "run", log__report=True, **rate)) == 1
    text = (tmp_path / "run" / "report.html").read_text()
    assert "The run is unfinished" in text
    assert "not finite (NaN or infinite)" in text
