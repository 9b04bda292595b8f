"""Classification of photos: predictions, labels, accuracies, and the command around them."""

import json
from pathlib import Path

import pytest
import torch

from cnnart.__main__ import main
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.inspect.classify import BATCH, Accuracy, classify, classify_report, true_class
from cnnart.methods.inspect.pictures import Item
from cnnart.networks.zoo import open_network
from cnnart.weights.embedded import imagenet_classes
from tests.helpers.networks import Colors

NETWORK = "tests.helpers.networks:Colors"
GATED = "tests.helpers.networks:Gated"
RGB = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


def plain(color, height=20, width=30):
    return (
        torch.tensor(RGB[color], dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, height, width)
    )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def network():
    return open_network(NETWORK, classifier=True)


@pytest.fixture
def labelled():
    """Four photos of a known class, one of them in the wrong folder; one of none; one damaged."""
    for name, color in {
        "set/red/a.png": "red",
        "set/red/b.png": "red",
        "set/blue/c.png": "blue",
        "set/blue/d.png": "green",
        "set/holiday/e.png": "green",
    }.items():
        write_image(name, plain(color).contiguous())
    Path("set/red/f.png").write_text("no picture", encoding="utf-8")


def stream_of(*colors):
    return [(Item(f"{c}/{n}.png", lambda: None), plain(c)) for n, c in enumerate(colors)]


def run(capsys, *arguments):
    code = main(["inspect", "classify", "--backbone", NETWORK, *arguments])
    return code, *capsys.readouterr()


def test_predictions_come_in_order_with_probabilities_that_sum_to_one(network):
    colors = ["red", "blue", "green"] * BATCH  # several batches, the last not full
    photos = stream_of(*colors[:-1])
    predictions = list(classify(network, photos, top=6))
    assert [v.photo for v in predictions] == [item.name for item, _ in photos]
    assert [v.guesses[0].name for v in predictions] == colors[:-1]
    for prediction in predictions:
        probabilities = [guess.probability for guess in prediction.guesses]
        assert sum(probabilities) == pytest.approx(1)
        assert probabilities == sorted(probabilities, reverse=True)
        assert prediction.within(1) is True
        assert prediction.picture.shape == (1, 3, 16, 16)


def test_the_probabilities_are_the_networks(network):
    (prediction,) = classify(network, stream_of("green"), top=2)
    expected = network.logits(network.prepare(plain("green"))).softmax(1)[0]
    assert [guess.index for guess in prediction.guesses] == [1, 4]
    assert prediction.guesses[0].probability == pytest.approx(float(expected[1]))


def test_what_could_not_be_read_is_left_out(network):
    photos = [(Item("bad", lambda: None), None), *stream_of("red")]
    assert [v.photo for v in classify(network, photos)] == ["red/0.png"]


def test_labels():
    classes = list(Colors.classes)
    assert true_class(classes, "some/where/Red", 6) == 0
    assert true_class(classes, None, 6) is None
    assert true_class(classes, "holiday", 6) is None
    assert true_class(classes, "2", 6) is None  # a numbered folder says nothing
    assert true_class(classes, "n01443537", 6) is None  # these are not ImageNet's classes
    assert true_class(imagenet_classes(), "n01443537", 1000) == 1
    assert true_class(imagenet_classes(), "great_white_shark", 1000) == 2
    assert true_class(imagenet_classes(), "giant", 1000) is None  # a part of a name


def test_the_accuracy_counts_the_labelled(network):
    accuracy = Accuracy()
    assert accuracy.numbers() == {"top1": None, "top5": None, "photos": 0, "labelled": 0}
    for prediction in classify(network, stream_of("red", "red", "blue")):
        accuracy.add(prediction)
    photos = [(Item("blau/x.png", lambda: None), plain("blue"))]  # the second guess
    photos += [(Item("holiday/x.png", lambda: None), plain("blue"))]
    photos += [(Item("gruen/x.png", lambda: None), plain("red"))]  # the sixth, or nearly
    for prediction in classify(network, photos, top=2):
        accuracy.add(prediction)
    assert accuracy.numbers() == {"top1": 0.6, "top5": 0.8, "photos": 6, "labelled": 5}
    assert accuracy.text() == "top-1 60.0 %, top-5 80.0 % of 5 labelled photos"


def test_the_sheet_marks_the_right_class(network):
    (prediction,) = classify(network, [(Item("rot/x.png", lambda: None), plain("red"))])
    inspection = classify_report([prediction], "title", {"top1": 0.0})
    ((label, picture),) = inspection.cells
    assert label.splitlines()[0] == "x.png"
    assert label.splitlines()[1].startswith("red 7")
    assert label.splitlines()[2].startswith("+ rot 2")
    assert picture is prediction.picture


def test_a_folder_of_classes(labelled, capsys):
    code, out, err = run(capsys, "set", "-r")
    assert code == 3  # a file was damaged
    lines = out.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("blue/c.png: blue (right) 7")
    assert lines[1].startswith("blue/d.png: green 7")
    assert lines[-1] == "top-1 75.0 %, top-5 100.0 % of 4 labelled photos"
    assert "1 of 6 pictures could not be used:" in err
    assert "red/f.png" in err
    assert "this is a text file, not a picture" in err


def test_json_has_a_line_for_each_photo_and_ends_with_the_accuracy(labelled, capsys):
    code, out, _ = run(capsys, "set", "-r", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert rows[-1] == {"top1": 0.75, "top5": 1.0, "photos": 5, "labelled": 4}
    assert rows[0]["photo"] == "blue/c.png"
    assert rows[0]["guesses"][0]["class"] == 2
    assert (rows[0]["label"], rows[0]["correct"]) == (2, True)
    assert rows[1]["correct"] is False
    assert "label" not in next(row for row in rows if row["photo"] == "holiday/e.png")


def test_a_sheet_of_photos(labelled, capsys):
    code, out, _ = run(capsys, "set/red/a.png", "set/blue/c.png", "-o", "sheet.png", "--json")
    assert code == 0
    last = json.loads(out.splitlines()[-1])
    assert last == {"top1": 1, "top5": 1, "photos": 2, "labelled": 2, "output": "sheet.png"}
    assert read_image("sheet.png").rgb.shape[2] > 32
    code, out, _ = run(capsys, "set/red", "-o", "page.html")
    assert out.splitlines()[-1] == "page.html"
    assert "a.png" in Path("page.html").read_text(encoding="utf-8")


def test_errors_and_their_exit_codes(labelled, capsys):
    code, _, err = run(capsys, "set/red/f.png")
    assert (code, "cnnart: error: set/red/f.png: this is a text file" in err) == (1, True)
    code, _, err = run(capsys, "nothing.jpg")
    assert (code, "No such file or folder: 'nothing.jpg'" in err) == (2, True)
    code, _, err = run(capsys, "set/red/a.png", "-o", "set/red/a.png")
    assert (code, "would overwrite the input" in err) == (2, True)
    code, _, err = run(capsys, "set/red/a.png", "-o", "a.gif")
    assert (code, "names no kind of file" in err) == (2, True)
    code = main(["inspect", "classify", "set/red/a.png", "--backbone", GATED])
    assert code == 2
    assert f"{GATED} has no classes" in capsys.readouterr().err


def test_the_embedded_classifier_knows_what_is_on_the_examples(capsys):
    """A photo of the repository with an undisputed subject."""
    coffee = Path(__file__).parents[3] / "examples" / "coffee.jpg"
    assert main(["inspect", "classify", str(coffee), "--json", "--offline"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])["guesses"][0]
    assert first["name"] == "espresso"
    assert first["probability"] > 0.9
