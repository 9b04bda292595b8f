"""Occlusion: where the windows are, what hiding costs in closed form, and captum's answer."""

from itertools import pairwise

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.inspect.crop import crop_for
from cnnart.methods.inspect.occlusion import Occluder, occlusion_report, window_places
from cnnart.methods.inspect.target import TargetQuery, choose_target
from tests.helpers.inspection import PIXELS, noise_picture, probe_network


def run(work):
    parts = list(work.parts())
    assert len(parts) == work.rounds
    return work.result()


@pytest.mark.parametrize(
    ("side", "window", "stride"), [(32, 8, 4), (32, 7, 5), (20, 20, 3), (33, 2, 2), (9, 1, 1)]
)
def test_windows_reach_both_edges_and_hide_every_pixel(side, window, stride):
    places = window_places(side, window, stride)
    assert places[0] == 0
    assert places[-1] == side - window
    assert all(0 < b - a <= stride for a, b in pairwise(places))


def test_hiding_costs_what_the_hidden_pixels_were_worth():
    worth = torch.zeros(1, 3, 12, 16)
    worth[:, 0, 4:6, 10:12] = 1.0
    image = torch.ones(1, 3, 12, 16)

    def score(pictures):
        return (pictures * worth).sum((1, 2, 3))

    found = run(Occluder(score, image, window=2, stride=2, batch=5))
    assert found.base == 4
    top, left, drop = found.largest()
    assert (top, left, drop) == (4, 10, 2)  # four pixels, each from white to gray
    expected = torch.zeros(12, 16)
    expected[4:6, 10:12] = 2
    assert torch.equal(found.drops(12, 16)[0, 0], expected)


def test_results_do_not_depend_on_the_batch():
    network, image = probe_network(), noise_picture()
    value = choose_target(network, image, TargetQuery("patch")).value
    one, many = (run(Occluder(value, image, 8, 4, batch=b)) for b in (1, 64))
    torch.testing.assert_close(one.scores, many.scores)


def test_the_patch_is_where_hiding_costs_most():
    network, image = probe_network(), noise_picture()
    target = choose_target(network, image, TargetQuery("patch"))
    for asked in (target, choose_target(network, image, TargetQuery(layer="out", channel=1))):
        found = run(Occluder(asked.value, image, 8, 2))
        drops = found.drops(32, 32).abs()[0, 0]
        assert float(drops[PIXELS].mean()) > 3 * float(drops.mean())
        assert float(drops[:, :6].max()) < 1e-6  # no window there touches the patch


def test_captum_finds_the_same_where_its_grid_fits():
    attr = pytest.importorskip("captum.attr")
    network, image = probe_network(), noise_picture()
    value = choose_target(network, image, TargetQuery("patch")).value
    expected = attr.Occlusion(value).attribute(
        image, sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4), baselines=0.5
    )
    found = run(Occluder(value, image, 8, 4)).drops(32, 32)
    torch.testing.assert_close(found, expected[:, :1].float(), atol=1e-6, rtol=1e-4)


def test_the_report_says_where_in_the_photo():
    network = probe_network()
    photo = torch.rand(1, 3, 72, 144, generator=torch.Generator().manual_seed(5))
    crop = crop_for(network, photo)  # 36 x 72, of which the 32 x 32 at the center
    target = choose_target(network, crop.input, TargetQuery("patch"))
    found = run(Occluder(target.value, crop.input, 8, 4))
    report = occlusion_report(found, crop, target)
    top, left, drop = found.largest()
    box = report.numbers["largest_drop"]["box"]
    assert box == {
        "left": 2 * (left + 20), "top": 2 * (top + 2),
        "right": 2 * (left + 28), "bottom": 2 * (top + 10),
    }  # fmt: skip
    assert report.numbers["largest_drop"]["drop"] == drop
    assert report.numbers["class"] == "patch"
    assert len(report.cells) == 3
    assert all(picture.shape == (1, 3, 64, 64) for _, picture in report.cells)


def test_windows_that_do_not_fit_are_refused():
    image = noise_picture()
    with pytest.raises(UsageError, match=r"A window of 33 pixels does not fit .* 32x32: use 1 to"):
        Occluder(lambda x: x.mean((1, 2, 3)), image, 33)
    with pytest.raises(UsageError, match=r"A stride of 9 is out of range: use 1 to 8"):
        Occluder(lambda x: x.mean((1, 2, 3)), image, 8, 9)
