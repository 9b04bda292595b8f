"""The page in a real browser (Chromium): what a person does, and what is to be seen then."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cnnart.__main__ import main
from cnnart.commands import named_masks
from cnnart.run.record import read_record_of
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
    before = ["-s", "udnie", "-o", str(made / "out/before.png"), "-q"]
    main(["fast-stylize", str(made / "photo.png"), *before])
    return made


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[Studio]:
    """One server for all tests, which are quick because its networks stay loaded."""
    with serving(folder / "out") as made:
        yield made


@contextmanager
def serving(folder: Path) -> Iterator[Studio]:
    """A server that paints into a folder."""
    started: list[Studio] = []
    is_ready = threading.Event()

    def ready(studio: Studio) -> None:
        started.append(studio)
        is_ready.set()

    def run() -> None:
        server.serve(
            host="127.0.0.1",
            port=0,
            folder=folder,
            page=True,
            ready=ready,
            most_upload=1 << 20,
            max_pixels=1_000_000,
            device="cpu",
        )

    thread = threading.Thread(target=run)
    thread.start()
    is_ready.wait(60)
    try:
        yield started[0]
    finally:
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
    if not re.search("the server responded with a status of 4(04|09|15|22)", text):
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


def results(page: Any) -> int:
    return int(page.locator("#results li").count())


def wait_for_result(page: Any, before: int) -> None:
    """Wait until one more than ``before`` is in the strip, and done."""
    last = page.locator("#results li").first
    wait(page, lambda: results(page) > before and last.get_attribute("class") == "done")


def test_a_photo_is_dropped_and_sliders_repaint(tab: Any, folder: Path) -> None:
    assert "token" not in tab.url
    # What an earlier session has left is there.
    earlier = tab.locator("#results li.done").last
    sync_api.expect(earlier).to_contain_text("fast-stylize · udnie")
    sync_api.expect(earlier.locator("img")).to_be_visible()
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
    # Another strength costs no more time, and it is not measured again.
    plans: list[str] = []
    tab.on("request", lambda request: plans.extend([request.url] * ("plan" in request.url)))
    strength.fill("0.9")
    sync_api.expect(line).to_contain_text("--strength 0.9")
    tab.wait_for_timeout(1200)
    assert plans == []
    assert plan.is_visible()
    tab.get_by_label("Stroke").fill("2")
    tab.wait_for_timeout(1200)
    assert len(plans) == 1
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


def test_a_photo_is_pasted(tab: Any, folder: Path) -> None:
    tab.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "image.png", {type: "image/png"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
        }""",
        list((folder / "photo.png").read_bytes()),
    )
    sync_api.expect(tab).to_have_title("image.png · cnnart studio")


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
    before = results(tab)
    tab.click("#go")
    wait_for_result(tab, before)
    result = next((folder / "out").glob("photo-ink-wash*.png"))
    assert list((folder / "out/inputs").glob("mask*.png"))
    # The download is the file, and its record makes the same picture again.
    tab.locator("#results .card").first.click()
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


def test_a_mask_has_a_name_and_is_shown(
    tab: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(named_masks.FINDERS, "subject", lambda photo: (photo[:, :1] * 0).add(1))
    monkeypatch.setitem(named_masks.FINDERS, "person", lambda photo: None)
    drop(tab, folder / "photo.png")
    wait(tab, lambda: painted(tab) > 0)
    tab.click("[data-style=great-wave]")
    where, brush = tab.get_by_label("Where Great wave applies"), tab.locator("#brush")
    covered = """() => { const brush = document.getElementById("brush");
        return brush.getContext("2d").getImageData(3, 3, 1, 1).data[3]; }"""
    before = painted(tab)
    where.select_option("Subject")
    sync_api.expect(brush).to_be_visible()
    assert tab.evaluate(covered) == 255
    wait(tab, lambda: painted(tab) > before)
    sync_api.expect(tab.locator("#line")).to_contain_text("--style great-wave --mask subject")
    tab.click("[data-mask=great-wave]")  # hides it, and shows it again
    sync_api.expect(brush).to_be_hidden()
    tab.click("[data-mask=great-wave]")
    sync_api.expect(brush).to_be_visible()
    # The brush goes on from what was found.
    tab.get_by_label("Erase").check()
    box = brush.bounding_box()
    tab.mouse.click(box["x"] + 3, box["y"] + 3)
    sync_api.expect(tab.locator("#line")).to_contain_text("--mask mask.png")
    assert tab.evaluate(covered) < 100
    # What is not there is told, and the style applies everywhere.
    where.select_option("Person")
    sync_api.expect(tab.locator("#status")).to_contain_text("no person found in it")
    sync_api.expect(where).to_have_value("")
    where.select_option("A thing…")
    thing = tab.get_by_label("Which thing for Great wave")
    thing.fill("teapotty")
    thing.press("Tab")
    sync_api.expect(tab.locator("#status")).to_contain_text("teapotty")
    where.select_option("Everywhere")
    sync_api.expect(tab.locator("#line")).to_have_text(
        "cnnart fast-stylize photo.png --style great-wave"
    )


def test_a_painting_is_followed_in_two_tabs_and_stopped(
    tab: Any, studio: Studio, folder: Path
) -> None:
    other = open_tab(tab.context, studio, [])
    drop(tab, folder / "photo.png")
    wait(tab, lambda: painted(tab) > 0)
    # Any picture is a style; without a network for it, a sketch shows what it will be like.
    drop(tab, folder / "painting.png", "#panel")
    sync_api.expect(tab.locator(".chosen")).to_contain_text("painting")
    tab.get_by_text("Fine", exact=True).click()
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


def test_a_painting_goes_on_without_its_tab(tab: Any, studio: Studio, folder: Path) -> None:
    other = open_tab(tab.context, studio, [])
    drop(other, folder / "photo.png")
    other.get_by_text("Fine", exact=True).click()
    other.get_by_label("Size").fill("64")
    other.get_by_label("Work").select_option("draft")
    before = results(tab)
    other.click("#go")
    sync_api.expect(tab.locator("#results li")).to_have_count(before + 1)
    other.close()
    wait_for_result(tab, before)


def test_the_server_ends_while_it_paints(browser: Any, folder: Path) -> None:
    """The page says so, and what there is of the picture is kept."""
    with serving(folder / "short") as studio:
        context = browser.new_context()
        page = open_tab(context, studio, [])
        drop(page, folder / "photo.png")
        page.get_by_role("tab", name="Dream").click()
        page.get_by_label("Size").fill("64")
        page.click("#go")
        sync_api.expect(page.locator("#job-time")).to_contain_text("left")
    sync_api.expect(page.locator("#status")).to_contain_text("cnnart does not answer")
    context.close()
    (result,) = (folder / "short").glob("*.png")
    assert read_record_of(result)["command"] == "dream"


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
    # A folder is chosen in the browser, which sends what is in it.
    (folder / "beach").mkdir()
    for seed in (1, 2):
        save_picture(folder / f"beach/{seed}.png", seed=seed)
    (folder / "beach/notes.txt").write_text("no picture")
    tab.get_by_text("What is like it").click()
    sync_api.expect(tab.locator("#status")).to_contain_text("No folder to look for neighbors in")
    with tab.expect_file_chooser() as choosing:
        tab.click("#folder")
    choosing.value.set_files(folder / "beach")
    sync_api.expect(tab.locator("#settings")).to_contain_text("beach: 2 pictures")
    sync_api.expect(tab.locator("#line")).to_have_text(
        "cnnart inspect neighbors photo.png --in beach/"
    )
    before = painted(tab)
    tab.click("#go")
    wait(tab, lambda: painted(tab) > before)


def test_the_camera_is_painted_and_a_snapshot_becomes_the_photo(tab: Any) -> None:
    tab.click("#camera")
    wait(tab, lambda: painted(tab) > 2)
    sync_api.expect(tab.locator("#badge")).to_contain_text("frames a second")
    tab.click("#camera")
    sync_api.expect(tab).to_have_title("snapshot.jpg · cnnart studio")
    assert tab.locator("#badge").is_hidden()


def test_a_clip_of_the_camera_is_painted(tab: Any, folder: Path) -> None:
    av = pytest.importorskip("av", reason="the extra [video] is not installed")
    tab.click("#camera")
    wait(tab, lambda: painted(tab) > 0)
    tab.get_by_label("Length of the clip").select_option("3 s")
    tab.get_by_label("Size").fill("64")
    before = results(tab)
    tab.get_by_role("button", name="Record").click()
    sync_api.expect(tab.locator("#badge")).to_contain_text("Recording")
    wait_for_result(tab, before)
    assert tab.locator("#record").is_hidden()  # the camera is off
    tab.locator("#results .card").first.click()
    sync_api.expect(tab.locator("#details-line")).to_contain_text("camera.webm")
    playable = "() => document.getElementById('details-clip').readyState > 1"
    tab.wait_for_function(playable)
    with tab.expect_download() as downloading:
        tab.click("#details-download")
    assert downloading.value.suggested_filename.endswith(".mp4")
    with av.open(downloading.value.path()) as container:
        frames = list(container.decode(video=0))
    assert len(frames) > 5
    assert 1 < frames[-1].time <= 3  # a machine that is busy encodes late
    assert frames[0].width == 64


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


def test_axe_finds_nothing(browser: Any, studio: Studio, folder: Path) -> None:
    """The checker of accessibility, in light and in dark, on a desk and on a phone."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe").Axe()
    context = browser.new_context(reduced_motion="reduce", permissions=["camera"])
    page = open_tab(context, studio, [])
    found: list[str] = []

    def check(what: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            told = axe.run(page).response
            assert len(told["passes"]) > 15  # it has looked at the page
            for each in told["violations"]:
                places = [node["target"] for node in each["nodes"]][:3]
                found.append(f"{what}, {scheme}: {each['id']} ({each['impact']}) at {places}")

    drop(page, folder / "photo.png")
    wait(page, lambda: painted(page) > 0)
    page.get_by_label("Blend several").check()
    page.click("[data-style=great-wave]")
    page.click("[data-mask=great-wave]")
    page.get_by_label("Where Great wave applies").select_option("A thing…")
    page.get_by_label("Size").fill("huge")
    sync_api.expect(page.locator("#status")).to_contain_text("huge")
    check("a blend with masks, and a fault")
    page.set_viewport_size({"width": 360, "height": 740})
    check("a phone")
    page.get_by_role("tab", name="Look inside").click()
    check("look inside")
    page.get_by_role("tab", name="Texture").click()
    page.get_by_label("Method").select_option("quilting")
    page.get_by_label("Size").fill("96x96")
    before = results(page)
    page.click("#go")
    wait_for_result(page, before)
    page.locator("#results .card").first.click()
    check("a result's settings")
    context.close()
    assert not found, "\n".join(found)
