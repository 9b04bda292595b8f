"""Fooling: it fools, the change is small and in whole levels, and a file keeps it."""

import pytest
import torch

from cnnart.errors import CnnartError, UsageError
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.inspect.config import FoolConfig
from cnnart.methods.inspect.fooling import Fool, another_class, confirm, fool_report, quantized
from cnnart.optim.capture import WARM_UP
from tests.helpers.inspection import PIXELS, noise_picture, probe_network
from tests.helpers.replays import recording
from tests.helpers.waits import META, Elsewhere


def run(network, image, target, **settings):
    work = Fool(network, image, target, FoolConfig(**settings))
    list(work.steps())
    return work


@pytest.fixture(scope="module")
def network():
    return probe_network()


def test_it_fools_with_whole_levels_only(network):
    image = noise_picture()
    found = run(network, image, 1, confidence=0.6).result()
    levels = found.picture * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    with torch.no_grad():
        seen = network.logits(network.prepare(found.picture)).softmax(1)[0]
    assert int(seen.argmax()) == 1
    assert float(seen[1]) == pytest.approx(found.probability)
    assert found.probability >= 0.6
    difference = (found.picture - quantized(image)).abs() * 255
    assert found.mean_change == pytest.approx(float(difference.mean()), abs=1e-4)
    assert found.largest_change == round(float(difference.max()))


def test_recorded_it_fools_alike(network, monkeypatch):
    image, settings = noise_picture(), {"confidence": 0.6, "steps": 40}
    expected = run(network, image, 1, **settings).result()
    (recorders, found) = recording(monkeypatch), run(network, image, 1, **settings).result()
    assert [r.replays for r in recorders] == [40 - WARM_UP]
    assert found.probability == pytest.approx(expected.probability, abs=1e-4)
    assert found.mean_change == pytest.approx(expected.mean_change, rel=1e-3)


def test_read_late_it_is_the_same_picture(network, monkeypatch):
    """The smallest change is chosen on the device, whatever the host knows."""
    expected = run(network, noise_picture(), 1).result()
    monkeypatch.setattr("cnnart.optim.optimize.evaluations_ahead", lambda device: 1)
    assert torch.equal(run(network, noise_picture(), 1).result().picture, expected.picture)


def test_a_step_stays_on_the_device():
    with Elsewhere() as elsewhere:
        work = Fool(probe_network(device=META), noise_picture(), 1, FoolConfig())
        steps = work._steps()
        next(steps)
        elsewhere.strict = True
        next(steps)


def test_only_pixels_that_count_change(network):
    """The network crops 32 of 36 pixels, and looks at one patch of these."""
    image = torch.rand(1, 3, 36, 36, generator=torch.Generator().manual_seed(2))
    found = run(network, image, 1).result()
    changed = (found.picture != quantized(image))[0].any(0)
    seen = torch.zeros(36, 36, dtype=torch.bool)
    rows, columns = PIXELS
    seen[rows.start + 2 : rows.stop + 2, columns.start + 2 : columns.stop + 2] = True
    assert changed.any()
    assert not (changed & ~seen).any()


def test_more_steps_never_make_a_larger_change(network):
    image = noise_picture()
    few, many = (run(network, image, 1, steps=steps).result() for steps in (40, 80))
    assert many.mean_change <= few.mean_change * 1.05


def test_a_photo_keeps_its_size_and_its_file_fools(network, tmp_path, photo_of):
    photo = photo_of(50, 90, 3)
    work = run(network, photo, 1)
    found = work.result()
    assert found.picture.shape == photo.shape
    path = tmp_path / "fooled.png"
    write_image(path, found.picture)
    again = read_image(path).rgb
    torch.testing.assert_close(again, found.picture, atol=1e-6, rtol=0)
    confirm(network, again, 1, str(path))
    with pytest.raises(CnnartError, match="read again, it is seen as"):
        confirm(network, photo, 1, str(path))
    report = fool_report(network, work)
    assert [len(picture.shape) for _, picture in report.cells] == [4, 4, 4]
    assert report.numbers["after"][0]["class"] == "patch"
    assert report.numbers["before"][0]["class"] != "patch"


def test_the_embedded_classifier_takes_a_cup_for_an_ostrich():
    """40 of 255 levels of a real photo's detail would be a failure; two are the promise."""
    from pathlib import Path

    from cnnart.image.picture import resize
    from cnnart.networks.zoo import open_network

    cup = Path(__file__).parents[3] / "examples" / "coffee.jpg"
    network = open_network("efficientnet-lite0", classifier=True)
    photo = resize(read_image(cup).rgb, 200, 300)
    found = run(network, photo, 9, steps=20, confidence=0.5).result()
    assert found.mean_change < 2
    confirm(network, found.picture, 9, "cup")


def test_what_cannot_be_done_is_told(network):
    work = run(network, noise_picture(), 1, steps=1)
    with pytest.raises(CnnartError, match="No small change was found in 1 steps: ask for more"):
        work.result()
    with pytest.raises(UsageError, match="Confidence 1 is out of range"):
        Fool(network, noise_picture(), 1, FoolConfig(confidence=1.0))
    with pytest.raises(UsageError, match="Steps must be at least 1, not 0"):
        Fool(network, noise_picture(), 1, FoolConfig(steps=0))


def test_another_class_is_another_one_and_follows_the_seed(network):
    drawn = {another_class(network, 2, seed) for seed in range(40)}
    assert drawn == {0, 1, 3}
    assert another_class(network, 2, 7) == another_class(network, 2, 7)


@pytest.mark.gpu
def test_a_graph_of_it_fools_alike(monkeypatch):
    network = probe_network(device="cuda")
    recorded = run(network, noise_picture(), 1).result()
    monkeypatch.setattr("cnnart.optim.capture.recorder_of", lambda device: None)
    assert recorded.mean_change == pytest.approx(
        run(network, noise_picture(), 1).result().mean_change, rel=0.05
    )
