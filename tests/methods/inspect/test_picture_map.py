"""Maps of thumbnails: where they go, what the page holds, and the page in a real browser."""

from __future__ import annotations

import json
import re

import pytest
import torch

from cnnart.image.read import read_image
from cnnart.methods.inspect.config import EmbedConfig
from cnnart.methods.inspect.embedding import Embedding
from cnnart.methods.inspect.index import Index
from cnnart.methods.inspect.picture_map import (
    Layout,
    PictureMap,
    draw_map,
    free_layout,
    grid_layout,
    make_map_page,
)
from cnnart.methods.inspect.pictures import thumbnail

COLORS = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.9], [0.9, 0.8, 0.1]])
CORNERS = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])


def plain(color, height=30, width=40):
    return color.view(1, 3, 1, 1).expand(1, 3, height, width).clone()


def pictures():
    return [plain(color) for color in COLORS]


def embedding(count, seed=0):
    points = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))
    return Embedding("pca", points, {})


def small_index(count=12):
    features = torch.randn(count, 6, generator=torch.Generator().manual_seed(0)).half()
    names = [f"photos/{n}.png" for n in range(count)]
    made = {"network": "small", "layer": "conv2"}
    return Index(made, names, [(1, 1)] * count, features, torch.zeros(count, 3072).byte())


def test_each_thumbnail_is_where_its_point_is():
    layout = Layout("corners", CORNERS, 0.4)
    chart = draw_map(layout, pictures(), 100)
    assert chart.shape == (1, 3, 100, 100)
    for (x, y), color in zip((CORNERS * 100).int().tolist(), COLORS, strict=True):
        torch.testing.assert_close(chart[0, :, y, x], color)
        torch.testing.assert_close(chart[0, :, y, x - 19], color)  # 40 wide
        assert bool((chart[0, :, y - 17, x] == 1).all())  # and 30 high


def test_squares_fill_their_cells():
    chart = draw_map(Layout("corners", CORNERS, 0.4, square=True), pictures(), 100)
    torch.testing.assert_close(chart[0, :, 25 - 19, 25], COLORS[0])
    wide = torch.zeros(1, 3, 10, 30)
    wide[..., 10:20] = 1
    assert float(thumbnail(wide, 10, square=True).min()) == 1


def test_a_thumbnail_at_the_border_stays_inside():
    layout = Layout("edge", torch.tensor([[0.0, 0.0], [1.0, 1.0]]), 0.2)
    chart = draw_map(layout, pictures()[:2], 50)
    torch.testing.assert_close(chart[0, :, 0, 0], COLORS[0])
    torch.testing.assert_close(chart[0, :, 49, 49], COLORS[1])


@pytest.mark.parametrize("count", [3, 10, 37])
def test_layouts_stay_inside_and_grids_do_not_overlap(count):
    for layout in (free_layout(embedding(count), "f"), grid_layout(embedding(count), "g")):
        assert float((layout.points - layout.thumb / 2).min()) >= -1e-6
        assert float((layout.points + layout.thumb / 2).max()) <= 1 + 1e-6
    apart = torch.cdist(layout.points, layout.points, p=torch.inf) + torch.eye(count) * 9
    assert float(apart.min()) >= layout.thumb


def test_images_are_taken_one_at_a_time():
    taken = []

    def images():
        for picture in pictures():
            taken.append(len(taken))
            yield picture

    chart = images()
    draw_map(Layout("corners", CORNERS, 0.4), chart, 40)
    assert taken == [0, 1, 2, 3]


def page_data(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_everything_and_fetches_nothing():
    names = ["a.png", 'b"</script><b>.png', "ü.png", "{{DATA}}"]
    layouts = [Layout("one", CORNERS, 0.4), Layout("two", CORNERS.flip(0), 0.3, square=True)]
    page = make_map_page("Four & more", layouts, zip(names, pictures(), strict=True))
    data = page_data(page)
    assert [p["name"] for p in data["pictures"]] == names
    assert data["title"] == "Four & more"
    assert [(x["name"], x["square"]) for x in data["layouts"]] == [("one", False), ("two", True)]
    assert data["layouts"][0]["points"] == CORNERS.tolist()
    assert all(p["src"].startswith("data:image/jpeg;base64,") for p in data["pictures"])
    assert not re.search(r"""(src|href)\s*=\s*["']?(http|//)|@import|fetch\(""", page)


def test_a_map_of_an_index():
    index = small_index()
    chart = PictureMap(index, EmbedConfig(method="pca", size=200), "photos")
    found = chart.report(iter([plain(COLORS[n % 4]) for n in range(12)]))
    assert found.cells[0][1].shape == (1, 3, 200, 200)
    assert found.title == "PCA of 12 pictures (small, conv2)"
    assert [p["picture"] for p in found.numbers["pictures"]] == index.names
    assert len(found.numbers["variance"]) == 2
    assert chart.numbers() == found.numbers
    data = page_data(chart.page([plain(COLORS[n % 4]) for n in range(12)]))
    assert [x["name"] for x in data["layouts"]] == [
        "PCA, grid",
        "PCA, free",
        "t-SNE, grid",
        "t-SNE, free",
    ]


def test_the_thumbnails_size_is_what_was_asked_for():
    config = EmbedConfig(method="pca", layout="free", size=200, thumb=20)
    chart = PictureMap(small_index(), config, "photos")
    found = chart.report([plain(COLORS[0])] * 12).cells[0][1][0, 1]
    rows = (found < 0.5).any(1).sum()
    assert 15 <= int(rows) <= 12 * 15


# In a browser


@pytest.fixture
def opened(browser, tmp_path):
    """The page of four colors in a window of 600 x 600; whatever it complains of is an error."""
    layouts = [
        Layout("corners", CORNERS, 0.4),
        Layout("turned", CORNERS.flip(0), 0.4, square=True),
    ]
    names = ["red.png", "green.png", "blue.png", 'yellow "</script>.png']
    path = tmp_path / "map.html"
    page_text = make_map_page("Four", layouts, zip(names, pictures(), strict=True))
    path.write_text(page_text, encoding="utf-8")
    page = browser.new_page(
        viewport={"width": 600, "height": 600}, reduced_motion="reduce", offline=True
    )
    complaints, asked = [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url.split(":")[0]))
    page.goto(path.as_uri())
    page.wait_for_function("pictures.every(p => p.image.complete)")
    page.wait_for_timeout(100)
    yield page
    assert complaints == []
    assert set(asked) <= {"file", "data"}
    page.close()


def seen(page, tmp_path):
    """What is on the screen."""
    page.wait_for_timeout(100)
    page.screenshot(path=tmp_path / "seen.png")
    return read_image(tmp_path / "seen.png").rgb[0]


def at(corner):
    """Where a point of the map is on the screen at the start: the map fills 92 % of 600 px."""
    return tuple(300 + (float(v) - 0.5) * 0.92 * 600 for v in corner)


def test_browser_shows_every_picture_at_its_place(opened, tmp_path):
    screen = seen(opened, tmp_path)
    for corner, color in zip(CORNERS, COLORS, strict=True):
        x, y = map(round, at(corner))
        torch.testing.assert_close(screen[:, y, x], color, atol=0.03, rtol=0)
    assert opened.title() == "Four"


def test_browser_hovering_shows_name_and_picture(opened):
    card = opened.locator("#card")
    assert not card.is_visible()
    opened.mouse.move(*at(CORNERS[3]))
    assert card.is_visible()
    assert card.inner_text() == 'yellow "</script>.png'
    assert card.locator("img").get_attribute("src").startswith("data:image/jpeg")
    opened.mouse.move(*at(CORNERS[1]))
    assert card.inner_text() == "green.png"
    opened.mouse.move(300, 300)  # between them
    assert not card.is_visible()


def test_browser_wheel_zooms_about_the_pointer_and_double_click_resets(opened, tmp_path):
    x, y = at(CORNERS[0])
    opened.mouse.move(x, y)
    opened.mouse.wheel(0, -1000)
    assert opened.evaluate("view.zoom") == pytest.approx(4.4817, rel=1e-3)
    screen = seen(opened, tmp_path)
    torch.testing.assert_close(screen[:, 500, 500], COLORS[0], atol=0.03, rtol=0)
    assert opened.locator("#card").inner_text() == "red.png"
    for _ in range(30):
        opened.mouse.wheel(0, -1000)
    assert opened.evaluate("view.zoom") == 400
    opened.mouse.dblclick(x, y)
    assert opened.evaluate("view") == {"zoom": 1, "x": 0.5, "y": 0.5}


def test_browser_dragging_moves_the_map(opened, tmp_path):
    x, y = at(CORNERS[0])
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 100, y + 60, steps=4)
    opened.mouse.up()
    screen = seen(opened, tmp_path)
    for corner, color in zip(CORNERS, COLORS, strict=True):
        sx, sy = (round(v + d) for v, d in zip(at(corner), (100, 60), strict=True))
        torch.testing.assert_close(screen[:, min(sy, 595), sx], color, atol=0.03, rtol=0)


def test_browser_buttons_change_the_layout_and_keys_move(opened, tmp_path):
    buttons = opened.locator("#layouts button")
    assert buttons.all_inner_texts() == ["corners", "turned"]
    buttons.nth(1).click()
    assert buttons.nth(1).get_attribute("aria-pressed") == "true"
    screen = seen(opened, tmp_path)
    for corner, color in zip(CORNERS.flip(0), COLORS, strict=True):
        x, y = map(round, at(corner))
        torch.testing.assert_close(screen[:, y, x], color, atol=0.03, rtol=0)
        # Squares: the color reaches as far down as to the side.
        torch.testing.assert_close(screen[:, y + 100, x], color, atol=0.03, rtol=0)
    opened.locator("#map").focus()
    opened.keyboard.press("+")
    opened.keyboard.press("ArrowRight")
    assert opened.evaluate("view.zoom") == 1.25
    assert opened.evaluate("view.x") == pytest.approx(0.5 + 60 / (0.92 * 600 * 1.25))
