"""The search by spectra against a plain one, exactly."""

import torch

from cnnart.methods.texture.exemplars import PatchExemplar, color_levels, edges_of
from cnnart.methods.texture.patch_search import FORBIDDEN, Templates, WindowErrors
from tests.helpers.textures import grain


def make_exemplar(height, width, *, usable=None, guide=None):
    image = grain(height, width)
    usable = torch.ones(height, width, dtype=torch.bool) if usable is None else usable
    levels = color_levels(image, usable)
    return PatchExemplar(image[0], levels, edges_of(levels, usable), usable, guide)


def plain(levels, template, counted):
    size = template.shape[-1]
    rows, columns = levels.shape[-2] - size + 1, levels.shape[-1] - size + 1
    found = torch.empty(rows, columns)
    for y in range(rows):
        for x in range(columns):
            window = levels[:, y : y + size, x : x + size]
            found[y, x] = ((window - template).square() * counted).sum()
    return found.long()


def test_errors_are_exact_sums():
    exemplar, rng = make_exemplar(13, 17), torch.Generator().manual_seed(1)
    template = torch.randint(0, 256, (2, 3, 5, 5), generator=rng).double()
    counted = torch.randint(0, 3, (2, 5, 5), generator=rng).double()
    found = WindowErrors(exemplar, 5)(Templates(template, counted))
    for index in range(2):
        assert torch.equal(found[index], plain(exemplar.levels, template[index], counted[index]))


def test_a_window_fits_itself():
    exemplar = make_exemplar(20, 20)
    template = exemplar.levels[None, :, 4:10, 7:13]
    errors = WindowErrors(exemplar, 6)(Templates(template, torch.ones(1, 6, 6).double()))
    assert int(errors[0, 4, 7]) == 0
    assert int((errors == 0).sum()) == 1


def test_the_guide_is_added_with_its_weight():
    rng = torch.Generator().manual_seed(2)
    guide = torch.randint(0, 256, (3, 12, 12), generator=rng).double()
    exemplar = make_exemplar(12, 12, guide=guide)
    template, wanted = exemplar.levels[None, :, :4, :4], guide[None, :, 5:9, 5:9]
    ones = torch.ones(1, 4, 4).double()
    found = WindowErrors(exemplar, 4)(Templates(template, ones, wanted, 7))[0]
    expected = plain(exemplar.levels, template[0], ones[0]) + 7 * plain(guide, wanted[0], ones[0])
    assert torch.equal(found, expected)


def test_windows_with_a_hole_are_forbidden():
    usable = torch.ones(10, 10, dtype=torch.bool)
    usable[4, 6] = False
    search = WindowErrors(make_exemplar(10, 10, usable=usable), 3)
    errors = search(Templates(torch.zeros(1, 3, 3, 3).double(), torch.ones(1, 3, 3).double()))
    forbidden = torch.zeros(8, 8, dtype=torch.bool)
    forbidden[2:5, 4:7] = True
    assert torch.equal(errors[0] == FORBIDDEN, forbidden)
    for uniform in (0.0, 0.5, 0.999):
        chosen = search.any_window(3, uniform)
        assert chosen.exemplar == 3
        assert not bool(forbidden[chosen.row, chosen.column])
