"""How soon the studio shows something, in a real browser (Chromium, headless).

    python -m benchmarks.studio

On the example photo (640 x 427): from choosing it to the first thumbnail, to all of them and to the
large picture; from moving a slider to the repainted picture (640 px at most; median and worst);
the camera's frames a second; and the server's memory over 500 previews. Prints the machine's load,
too: beside other work these times are those of the other work.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "examples" / "pagoda.jpg"
MOVES = 15  # of the slider
CAMERA_SECONDS = 8
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")

# Notes when something is first to be seen, from the moment that the photo is chosen.
WATCH = """() => {
    const seen = window.seen = {};
    document.getElementById("file").addEventListener("change", () => {
        const began = performance.now(), since = () => performance.now() - began;
        new MutationObserver(() => {
            const count = document.querySelectorAll(".style[data-painted]").length;
            if (count >= 1) seen.first ??= since();
            if (count >= 16) seen.all ??= since();
            if (document.getElementById("frame").dataset.painted) seen.large ??= since();
        }).observe(document.body, {subtree: true, attributes: true});
    }, {capture: true, once: true});
}"""


# Half of the previews.
PREVIEWS = """async () => {
    const known = await (await fetch("/api/pictures?name=a.jpg", {method: "POST",
        body: await (await fetch("/api/styles/night-swirls?size=640")).blob()})).json();
    for (let i = 0; i < 250; i++) {
        const answer = await fetch("/api/preview", {method: "POST", body: JSON.stringify({
            command: "fast-stylize", photo: known.id, styles: [{name: "great-wave"}],
            settings: {size: 320, strength: i / 250}})});
        if (!answer.ok) throw new Error(await answer.text());
        await answer.blob();
    }
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, with a camera that is none."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        sys.exit("No Chromium here: install it first.")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", *FAKE_CAMERA])
        yield browser
        browser.close()


@contextmanager
def opened(**context: Any) -> Iterator[Any]:
    """A page of a studio of its own."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "cnnart", "studio", "--no-open", "--port", "0", "-o", folder]
        server = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert server.stdout
        try:
            address = server.stdout.readline().strip()
            with chromium() as browser:
                page = browser.new_context(**context).new_page()
                page.set_default_timeout(300_000)
                page.goto(address)
                page.wait_for_selector("html[data-ready]")
                yield page
        finally:
            server.terminate()
            server.wait()


def until(page: Any, expression: str) -> Any:
    """What a JavaScript expression gives, as soon as that is something."""
    while not (found := page.evaluate(expression)):
        page.wait_for_timeout(20)
    return found


def main() -> None:
    with opened(viewport={"width": 1360, "height": 860}) as page:
        page.set_input_files("#file", PHOTO)  # once, so that torch and the networks are loaded
        until(page, "document.documentElement.dataset.thumbnailsMs")
        page.reload()
        page.wait_for_selector("html[data-ready]")
        page.evaluate(WATCH)
        page.set_input_files("#file", PHOTO)
        until(page, "window.seen.all && window.seen.large")
        seen = page.evaluate("window.seen")
        took = []
        slider = page.get_by_label("Strength")
        for move in range(MOVES):
            page.evaluate("delete document.documentElement.dataset.previewMs")
            slider.fill(str(0.3 + 0.04 * move))
            took.append(float(until(page, "document.documentElement.dataset.previewMs")))
        page.click("#camera")
        page.wait_for_timeout(2000)
        painted = "Number(document.getElementById('frame').dataset.painted)"
        before, began = page.evaluate(painted), time.monotonic()
        page.wait_for_timeout(1000 * CAMERA_SECONDS)
        frames = (page.evaluate(painted) - before) / (time.monotonic() - began)
        page.click("#camera")
        children = psutil.Process().children()
        (server,) = (each for each in children if "studio" in each.cmdline())
        memory = [server.memory_info().rss]
        for _ in range(2):
            page.evaluate(PREVIEWS)
            memory.append(server.memory_info().rss)
    print(f"load (1 minute): {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"photo to first thumbnail: {seen['first']:.0f} ms")
    print(f"photo to all sixteen:     {seen['all']:.0f} ms")
    print(f"photo to large picture:   {seen['large']:.0f} ms")
    print(
        f"slider to picture:        {statistics.median(took):.0f} ms, at worst {max(took):.0f} ms"
    )
    print(f"camera:                   {frames:.1f} frames a second")
    told = ", ".join(f"{each / 2**20:.0f}" for each in memory)
    print(f"memory over 500 previews: {told} MB")


if __name__ == "__main__":
    main()
