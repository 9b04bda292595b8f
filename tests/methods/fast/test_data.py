"""Photos to train on: which are used, and what each step sees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from cnnart.errors import CnnartError, UsageError
from cnnart.methods.fast.train.data import (
    Crops,
    Loader,
    Photos,
    Sampler,
    ValidationPhotos,
    find_photos,
)
from tests.helpers.fast import photo_folder


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
    assert all(reasons[n].startswith("not readable") for n in ("broken.jpg", "cut.png", "cut.jpg"))
    assert len(photos.train) == 5
    assert len(photos.held_out) == 1
    assert not set(photos.train) & set(photos.held_out)


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


def test_crops_have_their_size_and_can_be_repeated(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos")
    paths = list(find_photos(sorted(folder.iterdir()), 64).train)
    kept, never = Crops(paths, 64), Crops(paths, 64, cache=0)
    for side in (32, 64):
        for key in ("a", "b"):
            first = kept.random(0, side, key)
            assert first.shape == (1, 3, side, side)
            assert 0 <= float(first.min()) <= float(first.max()) <= 1
            assert torch.equal(first, never.random(0, side, key))
    assert not torch.equal(kept.random(0, 64, "a"), kept.random(0, 64, "b"))
    assert kept.center(1, 48).shape == (1, 3, 48, 48)


def test_validation_sees_the_same_crops_of_photos_held_out(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos")
    photos = find_photos(sorted(folder.iterdir()), 64)
    crops = Crops([*photos.train, *photos.held_out], 64)
    judged = ValidationPhotos(crops, photos, 64, torch.device("cpu"))
    assert len(judged) == len(photos.held_out) == 1
    assert torch.equal(judged[0], crops.center(len(photos.train), 64))
    few = Photos(photos.train, ())
    assert len(ValidationPhotos(crops, few, 64, torch.device("cpu"))) == 2


def test_threads_change_nothing(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos")
    paths = list(find_photos(sorted(folder.iterdir()), 64).train)
    sampler = Sampler(len(paths), 1, 0, None)
    samples = [sampler(n) for n in range(4)]
    ahead, late = Loader(Crops(paths, 64), 2), Loader(Crops(paths, 64), 0)
    ahead.prepare(samples, 64)
    assert torch.equal(ahead.batch(samples, 64), late.batch(samples, 64))
    ahead.close()
    late.close()


def test_a_photo_that_vanishes_is_named(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos")
    paths = list(find_photos(sorted(folder.iterdir()), 64).train)
    paths[0].unlink()
    sampler = Sampler(len(paths), 1, 0, None)
    gone = next(s for s in map(sampler, range(9)) if s.photo == 0)
    with pytest.raises(CnnartError, match="could be read when training began"):
        Loader(Crops(paths, 64), 0).batch([gone], 64)
