"""An inspection as a page and as JSON."""

import base64
import io
import json
import math
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

from cnnart.methods.inspect.report import Beneath, Inspection, json_line, make_page

RNG = torch.Generator().manual_seed(0)


@pytest.fixture
def inspection():
    cells = [
        ("filter 1\n<b>bold</b>", torch.rand(1, 3, 40, 50, generator=RNG)),
        ("filter 2", torch.rand(1, 3, 120, 110, generator=RNG)),
    ]
    numbers = {
        "layer": "conv1",
        "score": 0.123456,
        "none": None,
        "rows": [{"a": 1}, {"b": "</script>"}],
    }
    numbers |= {"group": {"inner": 2, "long": list(range(30))}}
    return Inspection("What <conv1> sees", cells, numbers)


def test_a_page_holds_the_pictures_and_the_numbers(inspection):
    page = make_page(inspection)
    assert "<title>What &lt;conv1&gt; sees</title>" in page
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == len(inspection.cells)
    for data, (_, picture) in zip(pictures, inspection.cells, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(data))) as found:
            assert found.size == (picture.shape[3], picture.shape[2])
    assert "src=" not in re.sub(r'src="data:[^"]+"', "", page)  # it needs no other file
    assert "href=" not in page
    assert "<b>" not in page  # labels are text
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    numbers = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert json.loads(numbers[1]) == inspection.numbers
    for cell in (
        '<th scope="row">score</th><td>0.1235</td>',
        "<caption>group</caption>",
        '<th scope="col">a</th><th scope="col">b</th>',
    ):
        assert cell in page
    assert "<td>0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...</td>" in page


def readings_of(page):
    found = re.search(r'id="readings">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def test_a_picture_over_a_photo_can_be_faded_and_read():
    photo, over = torch.zeros(1, 3, 40, 80), torch.ones(1, 3, 40, 80)
    values = torch.arange(3200.0).view(40, 80)
    labels = (values > 1600).long()
    page = make_page(
        Inspection(
            "faded",
            [("plain", over), ("map", over), ("kinds", over), ("two", over)],
            beneath={
                1: Beneath(photo, values),
                2: Beneath(photo, labels, ["cat", "dog"]),
                3: Beneath(photo),
            },
        )
    )
    assert page.count('type="range"') == page.count('class="pair"') == 3
    assert len(re.findall(r'src="data:image/jpeg', page)) == 3
    numbers, kinds, nothing = readings_of(page)
    assert (len(numbers["values"]), len(numbers["values"][0])) == (20, 40)
    assert numbers["values"][0][0] == pytest.approx(values[:2, :2].mean())
    assert kinds["names"] == ["cat", "dog"]
    assert {value for row in kinds["values"] for value in row} == {0, 1}
    assert nothing == {}
    assert "href=" not in page
    assert "src=" not in re.sub(r'src="data:[^"]+"', "", page)


def test_a_small_map_and_one_that_is_not_finite_can_be_read():
    values = torch.tensor([[0.123456, math.nan, 2.0]])
    cell = ("map", torch.ones(1, 3, 8, 24))
    beneath = {0: Beneath(torch.ones(1, 3, 8, 24), values)}
    (found,) = readings_of(make_page(Inspection("small", [cell], beneath=beneath)))
    assert found["values"] == [[0.123, None, 2.0]]


def test_every_picture_and_slider_has_a_name(inspection):
    page = make_page(replace(inspection, beneath={0: Beneath(torch.rand(1, 3, 40, 50))}))
    assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img [^>]*>", page))
    assert all("aria-label=" in tag for tag in re.findall(r"<input [^>]*>", page))
    assert page.count("<main>") == page.count("<h1>") == 1
    assert '<html lang="en">' in page
    assert "readings" not in make_page(inspection)  # no script where nothing moves


def test_one_channel_pictures_go_on_a_page():
    page = make_page(Inspection("gray", [("", torch.rand(1, 1, 8, 8))], columns=3))
    assert 'class="small"' in page
    assert "repeat(3, 1fr)" in page


def test_json_knows_no_nan():
    line = json_line({"a": math.nan, "b": [math.inf, 1.5], "c": ("é", True), 4: {"d": None}})
    assert json.loads(line) == {"a": None, "b": [None, 1.5], "c": ["é", True], "4": {"d": None}}


def test_browser_fades_and_reads(browser, tmp_path):
    over = torch.ones(1, 3, 40, 80)
    labels = torch.zeros(40, 80)
    labels[:, 40:] = 1
    page_text = make_page(
        Inspection(
            "faded",
            [("", over), ("kinds", over)],
            beneath={1: Beneath(torch.zeros(1, 3, 40, 80), labels, ["cat", "dog"])},
        )
    )
    path = tmp_path / "page.html"
    path.write_text(page_text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 900, "height": 600}, offline=True)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    box = page.locator(".pair").bounding_box()
    middle = box["y"] + box["height"] / 2
    for share, told in ((0.25, "cat"), (0.75, "dog")):
        page.mouse.move(box["x"] + share * box["width"], middle)
        assert page.locator("output").inner_text() == told
    page.mouse.move(1, 1)
    assert page.locator("output").inner_text() == ""
    page.locator("input").press("Home")
    assert page.locator(".above").evaluate("e => getComputedStyle(e).opacity") == "0"
    page.close()
    assert complaints == []
