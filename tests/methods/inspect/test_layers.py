"""The table of layers, and `cnnart inspect` itself."""

import json

import pytest

from cnnart.__main__ import main
from cnnart.cli.inspect import COMMANDS
from cnnart.errors import UsageError
from cnnart.methods.inspect.layers import describe_layers
from cnnart.networks.zoo import open_network
from tests.helpers.files import cnnart_process
from tests.helpers.inspection import SmallNetwork


def test_alexnet_is_the_lectures():
    rows = {row.name: row for row in describe_layers(open_network("alexnet"), 224)}
    first = rows["conv1"]
    assert (first.kind, first.channels, first.stride, first.receptive_field) == ("conv", 64, 4, 11)
    assert first.shape == [64, 55, 55]
    assert rows["pool5"].shape == [256, 6, 6]
    assert rows["pool5"].receptive_field == 195


def test_vgg19_at_another_size():
    rows = describe_layers(open_network("vgg19"), 64)
    assert len(rows) == 37
    assert rows[0].shape == [64, 64, 64]
    assert (rows[-1].name, rows[-1].shape, rows[-1].stride) == ("pool5", [512, 2, 2], 32)


def test_layers_that_see_everything_have_no_receptive_field():
    rows = {r.name: r for r in describe_layers(open_network("tests.helpers.networks:Gated"), 32)}
    assert (rows["gate"].receptive_field, rows["gate"].stride, rows["gate"].local) == (
        *(None, None),
        False,
    )
    assert (rows["after"].receptive_field, rows["after"].local) == (5, False)


def test_too_few_pixels_are_wrong_usage():
    with pytest.raises(UsageError, match="20 pixels are too few for alexnet: 63 at least"):
        describe_layers(open_network("alexnet"), 20)


def test_a_side_that_the_network_does_not_take():
    class Picky(SmallNetwork):
        def __call__(self, image, layers):
            raise RuntimeError("Wrong image height\nand a trace")

    with pytest.raises(UsageError, match=r"small cannot take 20 x 20 \(Wrong image height\)"):
        describe_layers(Picky(), 20)


def test_the_table(capsys):
    assert main(["inspect", "layers", "tests.helpers.networks:tangled"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "layer",
        "kind",
        "channels",
        "stride",
        "sees",
        "at",
        "160",
        "x",
        "160",
    ]
    assert lines[1].split() == ["first", "conv", "4", "2", "5", "px", "4", "x", "79", "x", "79"]
    assert lines[-1].split() == ["logits", "output", "3", "all", "3"]
    assert main(["inspect", "layers", "tests.helpers.networks:Gated"]) == 0
    assert "5 px + all" in capsys.readouterr().out


def test_json(capsys):
    assert main(["inspect", "layers", "--json"]) == 0  # the embedded classifier
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["network"], found["size"]) == ("efficientnet-lite0", 224)
    assert found["layers"][-1]["name"] == "logits"
    blocks = [row for row in found["layers"] if row["kind"] == "block"]
    assert [row["channels"] for row in blocks][-1] == 320
    assert blocks[-1]["shape"] == [320, 7, 7]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["vgg99"], 2, "Unknown network 'vgg99'. Did you mean vgg"),
        (["vgg16", "--offline"], 1, "vgg16 is not on this machine and cnnart is offline"),
        (["no_such:net"], 2, "No Python module 'no_such'"),
        (["alexnet", "--size", "8"], 2, "63 at least"),
    ],
)
def test_errors_are_one_line(arguments, code, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert main(["inspect", "layers", *arguments]) == code
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


def test_help_lists_every_command_without_torch():
    code = (
        "import sys; from cnnart.__main__ import main; assert main(['inspect', '-h']) == 0; "
        "assert main(['inspect', 'classify', '-h']) == 0; "
        "assert main(['inspect', 'layers', '-h']) == 0; "
        "bad = {'torch', 'numpy', 'PIL', 'rich', 'tqdm'} & set(sys.modules); assert not bad, bad"
    )
    process = cnnart_process(code=code)
    out, err = process.communicate()
    assert process.returncode == 0, err
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in out.decode()
        assert line in out.decode()


def test_a_wrong_command_is_wrong_usage(capsys):
    assert main(["inspect", "salience"]) == 2
    assert "No command 'salience'. Did you mean saliency?" in capsys.readouterr().err
