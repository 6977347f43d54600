"""What cannot fit into memory is told in one sentence, and nothing of it is made."""

import jax
import pytest
import runs

from ssljax import main


def _told(capsys, tmp_path, **changes) -> str:
    workdir = tmp_path / "run"
    assert main.main(runs.arguments(workdir, **changes)) == 2
    assert not workdir.exists()
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "count", "images", "key"),
    [
        # Bytes of 16 images, and of the floats of a view of each.
        ({"data__image_size": 10**6}, 16, 16 * 10**12 + 16 * 8 * 8 * 4, "config.data.image_size"),
        ({"method__view__size": 10**6}, 16, 16 * 64 + 16 * 10**12 * 4, "config.method.view.size"),
        # Of accumulated batches the views of one at a time.
        (
            {"method__view__size": 10**6, "optimizer__accumulate": 4},
            64,
            64 * 64 + 16 * 10**12 * 4,
            "config.method.view.size",
        ),
    ],
)
def test_a_batch_larger_than_the_memory_is_told_with_its_bytes(
    capsys, tmp_path, changes, count, images, key
):
    told = _told(capsys, tmp_path, data__cache="none", **changes)
    assert f"A step's {count} images and their views take" in told
    assert f" {images / jax.device_count() / 2**30:.1f} GiB on each device" in told
    assert key in told


def test_a_set_too_large_for_the_devices_is_told_before_it_is_read(capsys, tmp_path):
    told = _told(capsys, tmp_path, data__cache="device", data__image_size=200_000)
    assert "images of the data set, 200000x200000 pixels each, take" in told
    assert "config.data.cache=none" in told


def test_a_network_too_large_for_the_devices_is_told(capsys, tmp_path):
    told = _told(capsys, tmp_path, method__projector_dim=2**30)
    assert told.startswith("ssljax: The parameters, the optimizer's state")
    assert "choose a smaller network" in told
