"""An inspection as a page and as JSON."""

import base64
import io
import json
import math
import re

import pytest
import torch
from PIL import Image

from cnnart.methods.inspect.report import Inspection, json_line, make_page

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
        "<td>score</td><td>0.1235</td>",
        "<caption>group</caption>",
        "<th>a</th><th>b</th>",
    ):
        assert cell in page
    assert "<td>0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...</td>" in page


def test_one_channel_pictures_go_on_a_page():
    page = make_page(Inspection("gray", [("", torch.rand(1, 1, 8, 8))], columns=3))
    assert 'class="small"' in page
    assert "repeat(3, 1fr)" in page


def test_json_knows_no_nan():
    line = json_line({"a": math.nan, "b": [math.inf, 1.5], "c": ("é", True), 4: {"d": None}})
    assert json.loads(line) == {"a": None, "b": [None, 1.5], "c": ["é", True], "4": {"d": None}}
