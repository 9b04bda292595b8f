"""Make the screenshots of the documentation again, in Chromium, on the example photos.

python tools/make_screenshots.py             those of the studio
python tools/make_screenshots.py notebook    the example notebook, run and as Jupyter exports it
                                             (pip install nbconvert ipykernel)
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "screenshots"
LARGEST = 200_000  # bytes, as of all pictures of the documentation
sys.path.insert(0, str(ROOT))

from benchmarks.studio import PHOTO, chromium, opened, until  # noqa: E402


def shoot(page: Any, name: str) -> None:
    """What is to be seen now, as ``docs/screenshots/NAME.jpg``."""
    page.wait_for_timeout(1500)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    TARGET.mkdir(exist_ok=True)
    for quality in range(90, 40, -5):
        image.save(TARGET / f"{name}.jpg", quality=quality, optimize=True)
        if (TARGET / f"{name}.jpg").stat().st_size <= LARGEST:
            return


# A bar overwrites itself in Jupyter; an exported notebook has all that it ever was.
LAST_OF_EACH_BAR = """() => {
    for (const cell of document.querySelectorAll(".jp-OutputArea")) {
        const told = [...cell.querySelectorAll("[data-mime-type$='jupyter.stderr']")];
        const last = told.findLast(each => each.innerText.trim());
        for (const each of told) {
            if (each !== last) each.closest(".jp-OutputArea-child").remove();
        }
    }
}"""


def notebook() -> None:
    """The first cells, with what they show."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        line = ["nbconvert", "--to", "html", "--execute", "--output-dir", folder]
        book = ROOT / "examples" / "notebook.ipynb"
        subprocess.run([sys.executable, "-m", "jupyter", *line, str(book)], check=True)
        page = browser.new_page(viewport={"width": 900, "height": 1160})
        page.goto((Path(folder) / "notebook.html").as_uri())
        page.evaluate(LAST_OF_EACH_BAR)
        shoot(page, "notebook")


def studio() -> None:
    with opened(viewport={"width": 1280, "height": 860}, color_scheme="light") as page:
        page.set_input_files("#file", PHOTO)
        until(page, "document.documentElement.dataset.thumbnailsMs")
        page.click("[data-style=linocut-coast]")
        until(page, "/about/.test(document.getElementById('plan').textContent)")
        shoot(page, "studio")
        page.set_input_files("#file", ROOT / "examples" / "astronaut.jpg")
        until(page, "document.title.startsWith('astronaut')")
        page.get_by_label("Where Linocut coast applies").select_option("Background")
        until(page, "!document.getElementById('brush').hidden")
        until(page, "/about/.test(document.getElementById('plan').textContent)")
        shoot(page, "studio-mask")
    with opened(viewport={"width": 1280, "height": 860}, color_scheme="dark") as page:
        page.set_input_files("#file", ROOT / "examples" / "raccoon.jpg")
        until(page, "document.documentElement.dataset.thumbnailsMs")
        page.click("[data-style=harvest-fields]")
        page.get_by_text("Fine", exact=True).click()
        page.get_by_label("Size").fill("384")
        page.click("#go")
        until(page, "document.getElementById('job-bar').value > 0.6")
        shoot(page, "studio-painting")
    phone = {"width": 390, "height": 844}
    with opened(viewport=phone, device_scale_factor=1.5) as page:
        page.set_input_files("#file", ROOT / "examples" / "coffee.jpg")
        until(page, "document.documentElement.dataset.thumbnailsMs")
        page.click("[data-style=great-wave]")
        shoot(page, "studio-phone")


if __name__ == "__main__":
    notebook() if sys.argv[1:] == ["notebook"] else studio()
