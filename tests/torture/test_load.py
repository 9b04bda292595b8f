"""Many photos in one run: memory, open files and speed in the end are what they were."""

from __future__ import annotations

import statistics
import sys

import pytest

from tests.helpers.fast import saved
from tests.helpers.files import save_picture
from tests.torture.commands import CPU

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

GROWTH = 0.05  # of memory
SLOWER = 0.5  # share of the speed by which a machine with other work may vary
FEW = 4 << 20  # bytes that a short run may take more, whatever its size


@pytest.mark.parametrize(
    ("photos", "all_photos", "arguments"),
    [
        (60, 2000, ("fast-stylize", "photos", "--style", "candy.safetensors", "-o", "out/")),
        (
            *(24, 200),
            ("stylize", "photos", "-s", "style.png", "--preset", "draft", "-o", "out/", "--size"),
        ),
    ],
    ids=["fast-stylize", "stylize"],
)
def test_the_last_photo_costs_what_the_first_does(
    photos, all_photos, arguments, tmp_path, workshop, amount, count
):
    photos = amount(photos, all_photos)
    for index in range(photos):
        save_picture(tmp_path / "photos" / f"{index:04}.png", 32, 28, seed=index % 50)
    save_picture(tmp_path / "style.png", 32, 28, seed=3)
    saved(tmp_path / "candy.safetensors", "candy")
    if arguments[-1] == "--size":
        arguments = (*arguments, *(("128",) if photos == all_photos else ("40", "--steps", "2")))
    ran = workshop.run((*arguments, *CPU), tmp_path, watch=True, limit=3600)
    assert ran.code == 0, ran.errors
    assert len(list((tmp_path / "out").iterdir())) == photos
    samples = ran.told["samples"]
    early = [s for s in samples if photos / 5 <= s[0] <= photos / 2]
    late = [s for s in samples if photos * 0.9 <= s[0]] or samples[-1:]
    before, after = (statistics.median(s[2] for s in part) for part in (early, late))
    assert after < before * (1 + GROWTH) + FEW
    assert max(s[3] for s in late) <= max(s[3] for s in early) + 1
    if photos == all_photos:  # of few, the machine's moods would decide
        middle = min(samples, key=lambda s: abs(s[0] - photos / 2))
        first, last = samples[0], samples[-1]
        rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in ((first, middle), (middle, last))]
        assert rates[1] > rates[0] * (1 - SLOWER)
    count(f"photos in one run: {arguments[0]}", photos)
