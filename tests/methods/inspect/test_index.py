"""The index: what stands for a picture, and that an update equals a fresh one.

Only what changed is read, and files are checked.
"""

from __future__ import annotations

import os
import weakref

import pytest
import torch
from safetensors.torch import save_file

from cnnart.errors import CnnartError, ImageError, UsageError
from cnnart.methods.inspect.index import Descriptor, Index, IndexUpdate, read_index, write_index
from cnnart.methods.inspect.pictures import Item
from tests.helpers.inspection import SmallNetwork, noise_items

# What stands for a picture: pooled features of length 1, and 32 x 32 pixels


def test_features_are_the_layers_means_at_length_one():
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    network = SmallNetwork()
    features, _ = Descriptor(network, "conv1")(picture)
    inner = picture[..., 16:240, 16:240]  # the square in the middle
    means = network(inner, ["conv1"])["conv1"].mean((2, 3))[0]
    torch.testing.assert_close(features, means / means.norm())
    assert float(features.norm()) == pytest.approx(1)


def test_pixels_are_those_of_the_whole_picture():
    picture = torch.zeros(1, 3, 64, 128)
    picture[:, 0, :, 64:] = 1
    _, pixels = Descriptor(SmallNetwork(), "conv1")(picture)
    small = pixels.view(3, 32, 32)
    assert small.dtype == torch.uint8
    assert small[0, :, 20:].float().mean() > 254
    assert small[0, :, :12].float().mean() < 1
    assert int(small[1:].max()) == 0


@pytest.mark.parametrize("shape", [(20, 300), (300, 20), (7, 7), (300, 400)])
def test_any_shape_of_picture(shape):
    features, pixels = Descriptor(SmallNetwork(), "conv2")(torch.rand(1, 3, *shape))
    assert features.shape == (5,)
    assert pixels.shape == (3072,)


def test_a_classifier_prepares_its_pictures_itself():
    class Classifier(SmallNetwork):
        def prepare(self, image):
            return image[..., :8, :8]

    picture = torch.rand(1, 3, 30, 30)
    network = Classifier()
    features, _ = Descriptor(network, "conv1")(picture)
    means = network(picture[..., :8, :8], ["conv1"])["conv1"].mean((2, 3))[0]
    torch.testing.assert_close(features, means / means.norm())


def test_a_layer_of_vectors_is_taken_as_it_is():
    class Linear(SmallNetwork):
        def __call__(self, image, layers):
            return {"conv2": torch.tensor([[3.0, 4.0]])}

    features, _ = Descriptor(Linear(), "conv2")(torch.rand(1, 3, 30, 30))
    torch.testing.assert_close(features, torch.tensor([0.6, 0.8]))


def test_what_it_is_made_with_and_unknown_layers():
    assert Descriptor(SmallNetwork(), "conv1").made_with == {
        "network": "small",
        "weights": "0" * 64,
        "layer": "conv1",
        "precision": "float32",
    }
    with pytest.raises(UsageError, match="no layer 'conv3'"):
        Descriptor(SmallNetwork(), "conv3")


# The index

MADE = {"network": "small", "layer": "conv2"}


def describe(image):
    return Descriptor(SmallNetwork(), "conv2")(image)


def built(items, old=None, describe=describe):
    update = IndexUpdate(items, describe, MADE, old)
    list(update.run())
    return update


def assert_same(a, b):
    assert (a.names, a.stamps, a.made_with) == (b.names, b.stamps, b.made_with)
    assert torch.equal(a.features, b.features)
    assert torch.equal(a.pixels, b.pixels)


def test_an_index_holds_a_row_for_each_picture():
    items = noise_items(4)
    index = built(items).index()
    assert len(index) == 4
    assert index.names == ["000.png", "001.png", "002.png", "003.png"]
    assert index.features.shape == (4, 5)
    assert index.features.dtype == torch.float16
    assert index.pixels.shape == (4, 3 * 32 * 32)
    for row, item in enumerate(items):
        features, pixels = describe(item.read())
        assert torch.equal(index.features[row], features.half())
        assert torch.equal(index.pixels[row], pixels)
    torch.testing.assert_close(index.features.float().norm(dim=1), torch.ones(4), atol=1e-3, rtol=0)


def test_an_update_equals_a_fresh_index_and_looks_only_at_what_changed():
    items = noise_items(6)
    old = built(items).index()
    other = noise_items(9)
    changed = Item("002.png", other[8].read, (8, 8))
    now = [items[0], other[7], changed, items[4], items[5]]  # 1 and 3 removed, 7 added, 2 changed
    update = built(now, old)
    assert update.added == ["007.png"]
    assert update.changed == ["002.png"]
    assert update.removed == ["001.png", "003.png"]
    assert [item.name for item in update.todo] == ["007.png", "002.png"]
    assert_same(update.index(), built(now).index())


def test_nothing_changed_nothing_read():
    items = noise_items(3)
    old = built(items).index()
    update = built(items, old, describe=lambda image: pytest.fail("a picture was read"))
    assert_same(update.index(), old)


def test_an_index_comes_back_from_its_file(tmp_path):
    path = tmp_path / "sub" / "index.safetensors"
    index = built(noise_items(5)).index()
    assert read_index(path, MADE) is None
    write_index(path, index)
    assert_same(read_index(path, MADE), index)


def test_interrupted_halfway_it_goes_on_from_there():
    items = noise_items(6)
    whole = built(items).index()
    update = IndexUpdate(items, describe, MADE)
    run = update.run()
    assert [next(run).done for _ in range(2)] == [1, 2]
    half = update.index()
    assert half.names == ["000.png", "001.png"]
    again = built(items, half)
    assert len(again.todo) == 4
    assert_same(again.index(), whole)


def test_bad_pictures_are_told_and_left_out():
    def bad():
        raise ImageError("bad.png: the file is empty; get it again.")

    items = [*noise_items(2), Item("bad.png", bad)]
    update = built(items)
    assert update.failures.found == [("bad.png", "the file is empty; get it again.")]
    assert update.index().names == ["000.png", "001.png"]
    with pytest.raises(CnnartError, match="Not one of the pictures could be read"):
        built([Item("bad.png", bad)]).index()


def test_only_one_picture_is_alive_at_a_time():
    alive: list[weakref.ref] = []
    most = 0

    def read():
        nonlocal most
        image = torch.rand(1, 3, 16, 16)
        alive.append(weakref.ref(image))
        most = max(most, sum(ref() is not None for ref in alive))
        return image

    assert len(built([Item(str(n), read) for n in range(30)]).index()) == 30
    assert most == 1


def test_an_index_of_another_network_is_refused(tmp_path):
    path = tmp_path / "index.safetensors"
    write_index(path, built(noise_items(2)).index())
    other = MADE | {"layer": "conv1"}
    with pytest.raises(UsageError, match=r"made with small conv2 .layer conv2, not conv1."):
        read_index(path, other)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "index.safetensors"
    path.write_text("no tensors here")
    with pytest.raises(UsageError, match="no index can be read from this file"):
        read_index(path, MADE)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match="this is not an index of cnnart; name another `index`"):
        read_index(path, MADE)
    path.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        with pytest.raises(UsageError, match="it is a pipe"):  # which nobody writes into
            read_index(path, MADE)


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CnnartError, match="cannot write the index"):
        write_index(tmp_path / "file" / "index.safetensors", built(noise_items(1)).index())


def test_an_index_whose_parts_do_not_fit_together_is_refused(tmp_path):
    made_with = {"network": "n", "layer": "l"}
    features, pixels = torch.rand(2, 4).half(), torch.zeros(2, 3, dtype=torch.uint8)
    for names, stamps, rows in (
        (["a"], [(1, 2), (3, 4)], features),
        (["a", "a"], [(1, 2), (3, 4)], features),
        ([None, 3], [(1, 2), (3, 4)], features),
        (["a", "b"], [(1, 2), (3, 4)], features[:1]),
    ):
        write_index(tmp_path / "index", Index(made_with, names, stamps, rows, pixels))
        with pytest.raises(UsageError, match=r"no index can be read .*delete it or name another"):
            read_index(tmp_path / "index", made_with)
