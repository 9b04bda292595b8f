"""The page in a real browser (Chromium): what a person does, and what is to be seen then."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cnnart.__main__ import main
from cnnart.studio import server
from cnnart.studio.app import Studio
from tests.helpers.files import save_picture

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: no browser tests")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: no browser tests")

# A camera that needs no lens, and no question whether the page may use it.
FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("studio")
    save_picture(made / "photo.png", 120, 90)
    save_picture(made / "painting.png", 80, 80, seed=3)
    return made


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[Studio]:
    """One server for all tests, which are quick because its networks stay loaded."""
    started: list[Studio] = []
    is_ready = threading.Event()

    def ready(studio: Studio) -> None:
        started.append(studio)
        is_ready.set()

    def run() -> None:
        server.serve(
            host="127.0.0.1",
            port=0,
            folder=folder / "out",
            page=True,
            ready=ready,
            most_upload=1 << 20,
            max_pixels=1_000_000,
            device="cpu",
        )

    thread = threading.Thread(target=run)
    thread.start()
    is_ready.wait(60)
    yield started[0]
    started[0].stop()
    thread.join(60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        made = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_CAMERA], headless=True
        )
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any, studio: Studio) -> Iterator[Any]:
    """A tab of a new visitor; what the page complains of fails the test."""
    complaints: list[str] = []
    context = browser.new_context(permissions=["camera", "clipboard-write", "clipboard-read"])
    page = open_tab(context, studio, complaints)
    yield page
    context.close()
    assert not complaints


def open_tab(context: Any, studio: Studio, complaints: list[str]) -> Any:
    page = context.new_page()
    page.set_default_timeout(60_000)
    sync_api.expect.set_options(timeout=60_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and complain(complaints, said.text))
    page.goto(f"{studio.access.address}?token={studio.access.token}")
    page.wait_for_selector("html[data-ready]")
    return page


def complain(complaints: list[str], text: str) -> None:
    """Note what the browser complains of, but for answers that say no: these are as wanted."""
    if not re.search("the server responded with a status of 4(04|09|22)", text):
        complaints.append(text)


def drop(page: Any, path: Path, where: str = "#view") -> None:
    """Drop a file on the page, as from a file manager."""
    data = page.evaluate_handle(
        """([bytes, name]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            return data;
        }""",
        [list(path.read_bytes()), path.name],
    )
    box = page.locator(where).bounding_box()
    at = {"clientX": box["x"] + box["width"] / 2, "clientY": box["y"] + 5}
    page.dispatch_event(where, "drop", {"dataTransfer": data, **at})


def painted(page: Any) -> int:
    """How many pictures the stage has shown over the photo."""
    return int(page.evaluate("Number(document.getElementById('frame').dataset.painted || 0)"))


def wait(page: Any, happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def test_a_photo_is_dropped_and_sliders_repaint(tab: Any, folder: Path) -> None:
    assert "token" not in tab.url
    drop(tab, folder / "photo.png")
    thumbnails = tab.locator(".style[data-painted]")
    sync_api.expect(thumbnails).to_have_count(16, timeout=60_000)
    wait(tab, lambda: painted(tab) > 0)
    assert tab.title() == "photo.png · cnnart studio"
    tab.click("[data-style=great-wave]")
    assert tab.get_attribute("[data-style=great-wave]", "aria-pressed") == "true"
    before = painted(tab)
    strength = tab.get_by_label("Strength")
    for value in ("0.6", "0.7", "0.8"):
        strength.fill(value)
    wait(tab, lambda: painted(tab) > before)
    tab.get_by_label("Colors").select_option("keep")
    line = tab.locator("#line")
    sync_api.expect(line).to_have_text(
        "cnnart fast-stylize photo.png --style great-wave --strength 0.8 --color keep"
    )
    tab.click("#copy")
    assert tab.evaluate("navigator.clipboard.readText()") == line.inner_text()
    # Time and memory are told before anything is painted.
    plan = tab.locator("#plan")
    sync_api.expect(plan).to_have_text(re.compile(r"120 . 90 px: about \d+ s, \d\.\d GB, on "))
    # A second photo; both can be chosen.
    drop(tab, folder / "painting.png")
    sync_api.expect(tab).to_have_title("painting.png · cnnart studio")
    tab.get_by_role("button", name="photo.png").click()
    sync_api.expect(tab).to_have_title("photo.png · cnnart studio")
    # Before and after; with the keyboard, too.
    tab.get_by_label("Before and after").fill("25")
    assert "25%" in tab.get_attribute("#frame", "style")
    tab.focus("#compare")
    tab.keyboard.press("ArrowRight")
    assert "26%" in tab.get_attribute("#frame", "style")
    tab.click("#zoom")
    width = "document.getElementById('before').getBoundingClientRect().width"
    wait(tab, lambda: tab.evaluate(width) == 120)
    # A size that makes no sense is told, and nothing can be painted then.
    tab.get_by_label("Size").fill("huge")
    sync_api.expect(tab.locator("#status")).to_contain_text("huge")
    sync_api.expect(tab.locator("#go")).to_be_disabled()


def test_a_mask_is_brushed_and_painted_with(tab: Any, folder: Path) -> None:
    drop(tab, folder / "photo.png")
    wait(tab, lambda: painted(tab) > 0)
    tab.click("[data-style=ink-wash]")
    tab.click("[data-mask=ink-wash]")
    box = tab.locator("#brush").bounding_box()
    tab.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    before = painted(tab)
    tab.mouse.up()
    wait(tab, lambda: painted(tab) > before)
    sync_api.expect(tab.locator("#line")).to_contain_text("--mask mask.png")
    tab.click("#go")
    tab.wait_for_selector("#results li.done")
    result = next((folder / "out").glob("photo-ink-wash*.png"))
    assert list((folder / "out/inputs").glob("mask*.png"))
    # The download is the file, and its record makes the same picture again.
    tab.click("#results .card")
    with tab.expect_download() as downloading:
        tab.click("#details-download")
    assert Path(downloading.value.path()).read_bytes() == result.read_bytes()
    again = folder / "again.png"
    assert (
        main(["rerun", str(result), "-o", str(again), "-q", "--inputs", str(folder / "out/inputs")])
        == 0
    )
    assert again.read_bytes() == result.read_bytes()
    tab.click("#details-photo")
    sync_api.expect(tab).to_have_title(re.compile("photo-ink-wash"))


def test_a_painting_is_followed_in_two_tabs_and_stopped(
    tab: Any, studio: Studio, folder: Path
) -> None:
    other = open_tab(tab.context, studio, [])
    drop(tab, folder / "photo.png")
    wait(tab, lambda: painted(tab) > 0)
    # Any picture is a style; without a network for it, a sketch shows what it will be like.
    drop(tab, folder / "painting.png", "#panel")
    sync_api.expect(tab.locator(".chosen")).to_contain_text("painting")
    tab.get_by_role("radio", name="Fine").check(force=True)
    sync_api.expect(tab.locator("#line")).to_contain_text("stylize photo.png --style painting.png")
    tab.get_by_label("Size").fill("64")
    tab.get_by_label("Work").select_option("fine")
    tab.click("#go")
    tab.wait_for_selector("#loss-content svg path[d]")
    sync_api.expect(tab.locator("#job-time")).to_contain_text("left")
    sync_api.expect(other.locator("#results li.running")).to_have_count(1)
    tab.click("#stop")
    tab.wait_for_selector("#results li.stopped")
    other.wait_for_selector("#results li.stopped")
    assert tab.locator("#progress").is_hidden()


def test_the_other_tabs_of_the_page(
    tab: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnart.studio.inspections.METHODS", ("gradient",))  # the others take long
    drop(tab, folder / "photo.png")
    tab.get_by_role("tab", name="Paint").focus()
    tab.keyboard.press("ArrowRight")
    tab.get_by_label("Dream of").select_option("birds")
    sync_api.expect(tab.locator("#line")).to_have_text("cnnart dream photo.png --preset birds")
    tab.get_by_role("tab", name="Texture").click()
    tab.get_by_label("Method").select_option("quilting")
    tab.get_by_label("Size").fill("96x96")
    sync_api.expect(tab.locator("#line")).to_contain_text("--size 96x96")
    tab.click("#go")
    tiles = tab.locator("#tiles")
    sync_api.expect(tiles).to_have_attribute("style", re.compile("/file"), timeout=60_000)
    assert tiles.is_visible()
    tab.get_by_role("tab", name="Look inside").click()
    before = painted(tab)
    tab.click("#go")
    wait(tab, lambda: painted(tab) > before)
    sync_api.expect(tab.locator("#line")).to_have_text("cnnart inspect saliency photo.png")


def test_the_camera_is_painted_and_a_snapshot_becomes_the_photo(tab: Any) -> None:
    tab.click("#camera")
    wait(tab, lambda: painted(tab) > 2)
    sync_api.expect(tab.locator("#badge")).to_contain_text("frames a second")
    tab.click("#camera")
    sync_api.expect(tab).to_have_title("snapshot.jpg · cnnart studio")
    assert tab.locator("#badge").is_hidden()


def test_a_phone_has_all_of_it(browser: Any, studio: Studio, folder: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark")
    page = open_tab(context, studio, [])
    drop(page, folder / "photo.png")
    wait(page, lambda: painted(page) > 0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert (
        page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        == "rgb(20, 23, 27)"
    )
    page.locator("#go").scroll_into_view_if_needed()
    assert page.locator("#go").is_visible()
    context.close()


def test_nothing_comes_from_elsewhere(browser: Any, studio: Studio) -> None:
    context = browser.new_context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    open_tab(context, studio, [])
    assert asked
    assert {url for url in asked if not url.startswith(studio.access.address)} == set()
    context.close()
