"""patches, neighbors and embed as commands: files, numbers, resuming, sentences and exit codes."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnnart.__main__ import main
from cnnart.commands import inspect as commands
from cnnart.methods.inspect import index, patches
from tests.helpers.files import save_picture

FAST = ["--backbone", "alexnet", "--layer", "relu1", "--device", "cpu"]
PATCHES = ["inspect", "patches", "photos", *FAST, "--channels", "0-2", "--top", "3"]
NEIGHBORS = ["inspect", "neighbors", *FAST, "-n", "2"]
EMBED = ["inspect", "embed", "photos", *FAST, "--size", "96"]


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    for n in range(5):
        save_picture(f"photos/{n}.png", seed=n)


def run(capsys, *arguments):
    """(exit code, JSON of the last line)."""
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def spoil():
    Path("photos/bad.jpg").write_text("no picture")


# patches


def test_patches(capsys):
    assert main(PATCHES) == 0
    assert capsys.readouterr() == ("photos-patches.png\n", "")
    assert Image.open("photos-patches.png").width == 8 + 3 * (77 + 8)  # 11 px, 7 times as large
    assert sorted(path.name for path in Path().iterdir()) == ["photos", "photos-patches.png"]
    code, numbers = run(capsys, *PATCHES)
    assert code == 0
    assert numbers["layer"] == "relu1"
    assert numbers["receptive_field"] == 11
    assert numbers["pictures"] == 5
    assert list(numbers["channels"]) == ["0", "1", "2"]
    for places in numbers["channels"].values():
        values = [place["activation"] for place in places]
        assert values == sorted(values, reverse=True)
        for place in places:
            left, top, right, bottom = place["box"]
            assert (right - left, bottom - top) == (11, 11)
            assert [left, top] == [4 * n - 2 for n in place["unit"]]


def test_patches_pass_over_bad_pictures(capsys):
    spoil()
    assert main(PATCHES) == 3
    assert capsys.readouterr() == (
        "photos-patches.png\n",
        "cnnart: 1 of 6 pictures could not be used:\n"
        "cnnart:   bad.jpg: this is a text file, not a picture.\n",
    )


def test_an_earlier_result_is_not_searched_and_no_photo_is_overwritten(capsys, monkeypatch):
    monkeypatch.chdir("photos")
    here = [".", *PATCHES[3:]]
    assert run(capsys, "inspect", "patches", *here) == run(capsys, "inspect", "patches", *here)
    before = Path("1.png").read_bytes()
    assert main(["inspect", "patches", *here, "-o", "1.png"]) == 2
    assert "The result would overwrite '1.png', which is one of" in capsys.readouterr().err
    assert Path("1.png").read_bytes() == before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_patches_go_on_where_they_were_interrupted(name, capsys, monkeypatch):
    if not hasattr(signal, name):
        pytest.skip("no such signal here")
    number = getattr(signal, name)
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup")
    _, whole = run(capsys, *PATCHES)
    look = patches.TopPatchSearch._look

    def interrupted(self, image, name):
        if name == "3.png":
            signal.raise_signal(number)
        look(self, image, name)

    monkeypatch.setattr(patches.TopPatchSearch, "_look", interrupted)
    assert main(PATCHES) == 130
    assert signal.getsignal(number) is before
    state = Path("photos-patches.png.state.json")
    assert json.loads(state.read_text())["done"] == 3
    seen = []
    monkeypatch.setattr(
        patches.TopPatchSearch,
        "_look",
        lambda self, i, name: seen.append(name) or look(self, i, name),
    )
    capsys.readouterr()
    assert main([*PATCHES, "--top", "2"]) == 2
    assert "an unfinished run had other settings (top 3, now 2)" in capsys.readouterr().err.lower()
    code = main([*PATCHES, "--json"])
    told = capsys.readouterr()
    assert "going on after 3 of 5 pictures" in told.err
    assert (code, seen) == (0, ["3.png", "4.png"])
    assert json.loads(told.out) == whole
    assert not state.exists()


def test_patches_and_a_state_that_is_none(capsys):
    state = Path("photos-patches.png.state.json")
    state.write_text("{}")
    assert main(PATCHES) == 1
    assert "this is no unfinished run of cnnart; choose another -o." in capsys.readouterr().err
    state.write_text("{")
    assert main(PATCHES) == 1
    assert "the unfinished run is damaged" in capsys.readouterr().err
    assert main([*PATCHES, "--restart"]) == 0
    assert not state.exists()


def test_patches_begin_anew_when_the_pictures_changed(capsys, monkeypatch):
    look = patches.TopPatchSearch._look

    def interrupted(self, image, name):
        if name == "3.png":
            raise KeyboardInterrupt
        look(self, image, name)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(patches.TopPatchSearch, "_look", interrupted)
        assert main(PATCHES) == 130
    save_picture("photos/1.png", 40, 40, seed=6)
    capsys.readouterr()
    code, numbers = run(capsys, *PATCHES)
    assert code == 0
    Path("photos-patches.png").unlink()
    assert run(capsys, *PATCHES) == (0, numbers)


# neighbors


def test_neighbors(capsys):
    shutil.copy("photos/2.png", "query.png")
    code, numbers = run(capsys, *NEIGHBORS, "query.png", "--in", "photos")
    assert code == 0
    (query,) = numbers["queries"]
    for space in ("features", "pixels"):
        first, second = query[space]
        assert first["picture"] == "2.png"
        assert second["distance"] > first["distance"]
        assert first["distance"] == pytest.approx(0, abs=2e-3)
    assert Image.open("query-neighbors.png").width == 8 + 3 * (160 + 8)
    assert Path("photos-alexnet-relu1.safetensors").is_file()


def test_a_query_of_the_folder_does_not_find_itself(capsys):
    _, numbers = run(capsys, *NEIGHBORS, "photos/2.png", "--in", "photos")
    (query,) = numbers["queries"]
    for space in ("features", "pixels"):
        assert "2.png" not in [found["picture"] for found in query[space]]
        assert len(query[space]) == 2


def test_the_index_is_used_again_and_follows_the_folder(capsys, monkeypatch):
    main([*NEIGHBORS, "photos/0.png", "--in", "photos", "--index", "my.safetensors"])
    assert "my.safetensors (5 pictures: 5 new, 0 changed, 0 removed)" in capsys.readouterr().err
    described = []
    call = index.Descriptor.__call__
    monkeypatch.setattr(
        index.Descriptor, "__call__", lambda self, i: described.append(i) or call(self, i)
    )
    again = [*NEIGHBORS, "photos/0.png", "--in", "photos", "--index", "my.safetensors"]
    assert main(again) == 0
    assert described == []
    assert capsys.readouterr().err == ""
    Path("photos/4.png").unlink()
    save_picture("photos/3.png", 50, 40, seed=8)
    save_picture("photos/new.png", seed=7)
    code, numbers = run(capsys, *again)
    assert (code, len(described)) == (0, 2)
    Path("my.safetensors").unlink()
    assert run(capsys, *again) == (0, numbers)


def test_indexing_that_is_interrupted_keeps_what_is_there(capsys, monkeypatch):
    call = index.Descriptor.__call__
    count = []

    def interrupted(self, image):
        count.append(1)
        if len(count) == 4:
            raise KeyboardInterrupt
        return call(self, image)

    monkeypatch.setattr(index.Descriptor, "__call__", interrupted)
    asked = [*NEIGHBORS, "photos/0.png", "--in", "photos"]
    assert main(asked) == 130
    capsys.readouterr()
    assert main(asked) == 0
    assert "5 pictures: 2 new" in capsys.readouterr().err
    assert len(count) == 4 + 2


def test_evaluate_counts_labels_and_draws_examples(capsys):
    for label in ("plain", "wild"):
        Path("sorted", label).mkdir(parents=True)
    for n in range(4):
        Image.new("RGB", (64, 64), (200 + n, 30, 30)).save(f"sorted/plain/{n}.png")
        save_picture(f"sorted/wild/{n}.png", seed=0)
    code = main([*NEIGHBORS, "--in", "sorted", "-r", "--evaluate", "--json"])
    told = capsys.readouterr()
    numbers = json.loads(told.out)
    assert code == 0
    for space in ("features", "pixels"):
        found = numbers["agreement"][space]
        assert (found["first"], found["share"], found["pictures"]) == (1, 1, 8)
        assert found["chance"] == pytest.approx(3 / 7)
    assert "same label, nearest: 100.0% by features, 100.0% by pixels" in told.err
    assert len(numbers["queries"]) == 5
    assert numbers["output"] == "sorted-neighbors.png"


def test_neighbors_pass_over_bad_pictures(capsys):
    spoil()
    assert main([*NEIGHBORS, "photos/0.png", "--in", "photos"]) == 3
    assert "1 of 6 pictures could not be used" in capsys.readouterr().err


# embed


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("layout", ["grid", "free"])
def test_embed(capsys, method, layout):
    code, numbers = run(capsys, *EMBED, "--method", method, "--layout", layout)
    assert code == 0
    assert numbers["method"] == method
    assert [p["picture"] for p in numbers["pictures"]] == [f"{n}.png" for n in range(5)]
    width, height = Image.open("photos-map.png").size
    assert width == 96 + 16
    assert height > width  # and a title


def test_embed_as_a_page(capsys):
    spoil()
    code, numbers = run(capsys, *EMBED, "-o", "map.html")
    assert code == 3
    assert numbers["output"] == "map.html"
    page = Path("map.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 5
    assert main([*EMBED, "-o", "map.html", "-q"]) == 3
    assert capsys.readouterr().out == "map.html\n"


def test_embed_without_scikit_learn(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(EMBED) == 2
    assert "needs scikit-learn: pip install 'cnnart[inspect]'." in capsys.readouterr().err
    assert not list(Path().glob("*.safetensors"))


# What is wrong


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("patches nowhere", 2, "No such file or folder: 'nowhere'."),
        ("patches empty", 2, "No pictures in the folder 'empty'. Add --recursive"),
        ("patches photos --layer relu9", 2, "alexnet has no layer 'relu9'."),
        ("patches photos --channels 0-64 --layer relu1", 2, "relu1 has no channel 64: it has 0 to"),
        ("patches photos --channels x", 2, "'x' is no number or range"),
        ("patches photos --top 0", 2, "0 is not in the range x>=1"),
        ("patches photos -o x.gif", 2, "'x.gif' names no kind of file"),
        ("patches photos --json -o -", 2, "both want standard output"),
        ("patches photos --backbone alexnett", 2, "alexnet"),
        ("patches photos --backbone efficientnet-lite0 --layer pool", 2, "see whole pictures"),
        ("patches ruined --layer relu1", 1, "Not one of the pictures could be used."),
        ("patches -", 2, "Standard input (-) holds one picture: name a folder."),
        ("neighbors --in photos", 2, "No QUERY: name a picture, or ask for --evaluate."),
        ("neighbors photos/1.png", 2, "Missing option '--in'"),
        ("neighbors gone.png --in photos", 2, "No such file or folder: 'gone.png'."),
        ("neighbors photos/1.png --in photos --layer x1", 2, "alexnet has no layer 'x1'."),
        ("neighbors photos/1.png --in photos -o photos/1.png", 2, "overwrite the input"),
        ("neighbors photos/1.png --in photos --index photos/1.png", 2, "no index can be read"),
        ("neighbors bad.jpg --in photos", 1, "this is a text file, not a picture."),
        ("neighbors --in photos --evaluate", 2, "No two pictures have a label in common"),
        ("neighbors photos/1.png --in ruined", 1, "Not one of the pictures could be read"),
        ("embed two", 2, "A map needs at least 3 pictures, not 2."),
        ("embed photos --method umap", 2, "'umap' is not one of 'tsne', 'pca'."),
        ("embed photos --perplexity 0", 2, "0.0 is not in the range x>=1."),
    ],
)
def test_errors(arguments, code, sentence, capsys):
    Path("empty").mkdir()
    for n in range(2):
        save_picture(f"two/{n}.png", seed=n)
    for name in ("ruined/a.png", "bad.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("no picture")
    words = arguments.split()
    backbone = [] if "--backbone" in words else ["--backbone", "alexnet"]
    assert main(["inspect", *words, *backbone]) == code
    told = capsys.readouterr()
    assert told.out == ""
    last = told.err.splitlines()[-1]
    assert last.startswith("cnnart: error: ")
    assert sentence in last


def test_an_index_of_another_layer(capsys):
    asked = [*NEIGHBORS, "photos/0.png", "--in", "photos", "--index", "i.safetensors"]
    assert main(asked) == 0
    capsys.readouterr()
    assert main([*asked, "--layer", "relu2"]) == 2
    assert "was made with alexnet relu1 (layer relu1, not relu2)" in capsys.readouterr().err


def test_what_is_ready_is_saved_meanwhile(monkeypatch):
    """As a power cut would leave it: without the last saving that an interruption gets."""
    monkeypatch.setattr(commands, "every", lambda seconds: lambda: True)
    saved = []
    monkeypatch.setattr(index, "write_index", lambda path, found: saved.append(len(found)))
    main([*NEIGHBORS, "photos/0.png", "--in", "photos"])
    assert saved == [1, 2, 3, 4, 5, 5]
