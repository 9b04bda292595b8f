"""Photos to train on: which are used, and what each step sees."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.errors import CnnartError, UsageError
from cnnart.image.picture import resize
from cnnart.image.write import write_image
from cnnart.methods.fast.train.data import (
    CROPS_EACH,
    PhotoPool,
    Photos,
    Sample,
    Sampler,
    ValidationPhotos,
    center_crop,
    find_photos,
    read_photo,
)
from tests.helpers.fast import photo_folder
from tests.helpers.pictures import make_photo


def test_unusable_files_are_found_before_training(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos")
    whole = (folder / "p0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (90, 90)).save(folder / "ok.jpg")
    cut = (folder / "ok.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(cut[: len(cut) - 200])
    photos = find_photos(sorted(folder.iterdir()), 64)
    reasons = {path.name: why for path, why in photos.skipped}
    assert set(reasons) == {"broken.jpg", "small.png", "cut.png", "cut.jpg"}
    assert reasons["small.png"] == "too small (20 pixels, 64 needed)"
    damaged = "the file is truncated or damaged ("
    assert all(reasons[n].startswith(damaged) for n in ("cut.png", "cut.jpg"))
    assert reasons["broken.jpg"] == "this is a text file, not a picture"
    assert len(photos.train) == 5
    assert len(photos.held_out) == 1
    assert not set(photos.train) & set(photos.held_out)


def test_what_passes_the_check_can_be_read(tmp_path: Path) -> None:
    """Files that open and cannot be used: nothing of that may stop a run hours later."""
    values = np.random.default_rng(0).random((80, 100)).astype("f4")
    depths = {"nan": np.where(values > 0.5, np.nan, values), "far": values * 1e6, "low": -values}
    for name, each in {**depths, "whole": values}.items():
        Image.fromarray(each.astype("f4")).save(tmp_path / f"{name}.tif")
    rgb = Image.fromarray((np.dstack([values] * 3) * 255).astype("u1"))
    for mode, name in (("CMYK", "a.jpg"), ("LA", "a.png"), ("1", "b.png"), ("LAB", "a.tif")):
        rgb.convert(mode).save(tmp_path / name)
    (tmp_path / "drawing.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n")
    photos = find_photos(sorted(tmp_path.iterdir()), side=64)
    reasons = {path.name: why for path, why in photos.skipped}
    assert set(reasons) == {"nan.tif", "far.tif", "low.tif", "drawing.jpg"}
    assert reasons["drawing.jpg"] == "this is a PostScript drawing; export it as PNG first"
    for path in (*photos.train, *photos.held_out):
        assert read_photo(path, 64).shape[0] == 3


def test_nothing_to_train_on_is_wrong_usage(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos", count=0)
    with pytest.raises(UsageError, match="No photo of 2 can be trained on"):
        find_photos(sorted(folder.iterdir()), 64)


def test_every_photo_comes_once_before_any_comes_again() -> None:
    sampler = Sampler(7, 3, 0, (0.2, 1.0))
    for epoch in range(3):
        seen = [sampler(epoch * 7 + i).photo for i in range(7)]
        assert sorted(seen) == list(range(7))
    orders = [[sampler(e * 7 + i).photo for i in range(7)] for e in range(3)]
    assert len({tuple(order) for order in orders}) == 3


def test_styles_come_equally_often_and_strengths_are_the_middle_and_the_ends() -> None:
    samples = [Sampler(5, 4, 1, (0.2, 1.0))(n) for n in range(400)]
    assert {[s.style for s in samples].count(k) for k in range(4)} == {100}
    count = Counter(s.strength for s in samples)
    assert set(count) == {0.2, 0.5, 1.0}
    assert 150 < count[0.5] < 250
    assert min(count[0.2], count[1.0]) > 60
    assert all(Sampler(5, 4, 1, None)(n).strength == 0.5 for n in range(20))


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    forth, back = Sampler(5, 2, 3, (0.2, 1.0)), Sampler(5, 2, 3, (0.2, 1.0))
    ahead = [forth(n) for n in range(20)]
    assert [back(n) for n in reversed(range(20))] == ahead[::-1]
    assert [Sampler(5, 2, 4, (0.2, 1.0))(n) for n in range(20)] != ahead


def test_the_latest_photos_are_used_again_where_not_all_are_held() -> None:
    photos, window = 30, 8
    sampler = Sampler(photos, 1, 0, None, window)
    assert len({sampler(n).photo for n in range(window)}) == window
    row = [Sampler(photos, 1, 0, None)(n).photo for n in range(400)]
    for number in range(window, 400):
        latest = window + (number - window) // CROPS_EACH
        assert sampler(number).photo in row[latest - window + 1 : latest + 1]
    count = Counter(sampler(n).photo for n in range(photos * CROPS_EACH * 20))
    assert set(count) == set(range(photos))
    assert max(count.values()) < 1.5 * photos * CROPS_EACH * 20 / photos
    assert [Sampler(photos, 1, 0, None, window)(n) for n in (99, 7, 45)] == [
        sampler(n) for n in (99, 7, 45)
    ]


def photo_pool(folder: Path, side: int = 64, **options: int) -> PhotoPool:
    photos = find_photos(sorted(photo_folder(folder / "photos").iterdir()), side)
    more = {"capacity": 1 << 30, **options}
    return PhotoPool(photos, side, 4, torch.device("cpu"), **more)


def samples(count: int) -> list[Sample]:
    return [Sampler(4, 1, 0, None)(n) for n in range(count)]


@pytest.mark.parametrize("side", [32, 64])
def test_crops_cut_at_once_are_those_resized_one_by_one(tmp_path: Path, side: int) -> None:
    pool = photo_pool(tmp_path)
    drawn = samples(12)
    found = pool.crops(drawn, side)
    assert found.shape == (12, 3, side, side)
    photos = find_photos(sorted((tmp_path / "photos").iterdir()), 64)
    for sample, crop in zip(drawn, found, strict=True):
        rng = random.Random(sample.key)
        photo = read_photo(photos.train[sample.photo], 64)
        height, width = photo.shape[-2:]
        most = min(height, width, 1.5 * side)
        span = round(rng.uniform(side, most))
        top, left = rng.randint(0, height - span), rng.randint(0, width - span)
        square = photo[None, :, top : top + span, left : left + span].float() / 255
        expected = resize(square, side, side)[0]
        expected = expected.flip(-1) if rng.random() < 0.5 else expected
        assert torch.allclose(crop, expected, atol=1e-5)


def test_photos_are_read_at_the_size_that_crops_need(tmp_path: Path) -> None:
    whole = make_photo(600, 900)
    write_image(tmp_path / "large.jpg", whole, quality=95)
    Image.open(tmp_path / "large.jpg").save(tmp_path / "lossless.png")
    small = read_photo(tmp_path / "large.jpg", 64)
    assert small.shape == (3, 96, 144)
    assert small.dtype == torch.uint8
    plain = read_photo(tmp_path / "lossless.png", 64)
    assert float((small.float() - plain.float()).abs().mean()) < 2  # of 255
    upright = Image.open(tmp_path / "large.jpg")
    exif = upright.getexif()
    exif[0x0112] = 6  # to be turned
    upright.save(tmp_path / "turned.jpg", exif=exif)
    assert read_photo(tmp_path / "turned.jpg", 64).shape == (3, 144, 96)


def test_a_ring_too_small_for_all_gives_the_same_crops(tmp_path: Path) -> None:
    everything, little = photo_pool(tmp_path), photo_pool(tmp_path, capacity=1)
    assert everything.holds_all
    little._ring = torch.empty(70_000, dtype=torch.uint8)  # two photos and a half
    for start in range(0, 24, 2):
        pair = samples(24)[start : start + 2]
        assert torch.equal(everything.crops(pair, 64), little.crops(pair, 64))
        assert len(little._places) <= 2
        ends = sorted((p.start, p.stop) for p in little._places.values())
        assert all(a[1] <= b[0] for a, b in pairwise(ends))


def test_a_pool_takes_no_more_than_its_photos_or_its_share(tmp_path: Path) -> None:
    photos = find_photos(sorted(photo_folder(tmp_path / "photos", 40).iterdir()), 64)
    everything = PhotoPool(photos, 64, 1, torch.device("cpu"), capacity=1 << 40)
    assert everything.nbytes == sum(photos.decoded_bytes(64))
    taken = [read_photo(path, 64).numel() for path in photos.train]
    assert all(
        0.98 * most < n <= most for n, most in zip(taken, photos.decoded_bytes(64), strict=True)
    )
    share = PhotoPool(photos, 64, 1, torch.device("cpu"), capacity=500_000)
    assert (share.nbytes, share.holds_all) == (500_000, False)


def test_validation_sees_the_same_crops_of_photos_held_out(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos")
    photos = find_photos(sorted(folder.iterdir()), 64)
    judged = ValidationPhotos(photos, 64, torch.device("cpu"))
    assert len(judged) == len(photos.held_out) == 1
    assert judged[0].shape == (1, 3, 64, 64)
    assert torch.equal(judged[0], center_crop(read_photo(photos.held_out[0], 64), 64))
    few = Photos(photos.train, ())
    assert len(ValidationPhotos(few, 64, torch.device("cpu"))) == 2


def test_threads_change_nothing(tmp_path: Path) -> None:
    ahead, late = photo_pool(tmp_path, workers=2), photo_pool(tmp_path)
    drawn = samples(4)
    ahead.prepare(sample.photo for sample in drawn)
    assert torch.equal(ahead.crops(drawn, 64), late.crops(drawn, 64))
    ahead.close()
    late.close()


def test_photos_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def noting(path: Path, side: int) -> torch.Tensor:
        read.append(path)
        return read_photo(path, side)

    monkeypatch.setattr("cnnart.methods.fast.train.data.read_photo", noting)
    pool = photo_pool(tmp_path, workers=2)
    for number in range(6):
        pool.prepare(sample.photo for sample in samples(24)[4 * number :])
        pool.crops(samples(24)[4 * number :][:4], 64)
    pool.close()
    assert len(read) == len(set(read)) == 4


def test_a_photo_that_vanishes_is_named(tmp_path: Path) -> None:
    pool = photo_pool(tmp_path)
    gone = next(sample for sample in samples(9) if sample.photo == 0)
    pool._paths[0].unlink()
    with pytest.raises(CnnartError, match="could be read when training began"):
        pool.crops([gone], 64)
