"""Pages in a browser: no error, every image is there, and nothing is wider than a telephone."""

import browser
import pytest
import workdirs

from ssljax import page

if browser.find() is None:
    pytest.skip("There is no Chromium on the path.", allow_module_level=True)

SCRIPT = """(() => ({
  wide: document.documentElement.scrollWidth,
  broken: [...document.images].filter(x => !x.complete || !x.naturalWidth).map(x => x.alt),
  images: document.images.length,
  charts: [...document.querySelectorAll("svg[role=img]")].map(x => x.clientHeight),
  sections: [...document.querySelectorAll("section")].map(x => x.id),
  bold: document.querySelectorAll("main b").length,
}))()"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    program = browser.Browser(browser.find(), tmp_path_factory.mktemp("profile"))
    yield program
    program.close()


@pytest.mark.parametrize("kind", [*workdirs.KINDS, "several"])
def test_a_page_opens_without_errors_and_fits_a_telephone(tmp_path, opened, kind):
    kinds = workdirs.KINDS if kind == "several" else {kind: workdirs.KINDS[kind]}
    places = [
        make(tmp_path / f"{name}-of-a-rather-long-name-{'x' * 60}") for name, make in kinds.items()
    ]
    out = page.write(places, tmp_path / "page.html")
    for width in (360, 1280):
        found, errors = opened.open(out, width, SCRIPT)
        assert not errors
        assert not found["broken"]
        assert found["wide"] <= width
        assert min(found["charts"]) > 50
        assert not found["bold"]
    wanted = ["runs", "scores", "curves", "run1", "run2", "run3"]
    single = ["findings", "ran", "scores", "curves", "embeddings", "pictures"]
    assert found["sections"] == (wanted if kind == "several" else single)
    assert found["images"] == {"simclr": 2, "ssgan": 1, "rotation": 0, "several": 3}[kind]
