"""Which untrained networks fine-tuned ones are compared with."""

from benchmarks import fine_tuning


def test_an_untrained_network_has_the_form_of_the_trained_one():
    assert fine_tuning.starts_for(["rotation", "counting", "relative_transformation"]) == {
        "from scratch": ("", True),
        "counting from scratch": ("counting", True),
        "rotation": ("rotation", False),
        "counting": ("counting", False),
        "relative_transformation": ("relative_transformation", False),
    }
    assert all(map(fine_tuning.has_own_form, ["cpc", "jigsaw", "split_brain", "colorization"]))
