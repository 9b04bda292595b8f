"""``cnnart weights``: what it prints, and the error each failure raises with its exit code."""

import json
import sys

import pytest
import torch
from click.testing import CliRunner
from torchvision.models import vgg as torchvision_vgg

from cnnart.cli.weights import weights
from cnnart.errors import CnnartError, UsageError, WeightsError
from cnnart.weights.backbones import backbone_names
from cnnart.weights.cache import cached_path
from cnnart.weights.embedded import embedded_names, embedded_path
from cnnart.weights.store import network_names


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="module")
def vgg11_file(tmp_path_factory):
    features = torchvision_vgg.make_layers(torchvision_vgg.cfgs["A"])
    path = tmp_path_factory.mktemp("downloads") / "weights (2).pth"
    torch.save({f"features.{key}": value for key, value in features.state_dict().items()}, path)
    return path


def run(*arguments):
    return CliRunner().invoke(weights, [str(argument) for argument in arguments])


def error_of(result) -> CnnartError:
    assert isinstance(result.exception, CnnartError), result.exception
    assert "\n" not in str(result.exception)
    return result.exception


def test_list_json_has_every_network():
    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}
    assert list(rows) == network_names()
    assert set(backbone_names()) < set(rows)
    assert [n for n in rows if rows[n]["present"] == "embedded"] == embedded_names()
    assert rows["vgg19"]["bytes"] == embedded_path().stat().st_size
    assert rows["vgg16"]["present"] == "missing"
    assert rows["vgg16"]["file"] == "vgg16-397923af.pth"
    assert rows["vgg16-oxford"]["source"] == "import only"
    assert {row["licence"] for row in rows.values()} == {
        *("CC-BY-4.0", "BSD-3-Clause", "Apache-2.0")
    }


def test_list_is_a_table_of_one_line_each():
    lines = run("list").output.splitlines()
    assert lines[0].split() == ["network", "comes", "from", "here", "size", "licence"]
    assert [line.split()[0] for line in lines[1:]] == network_names()


def test_path_of_the_embedded_network_and_of_the_folder(tmp_path):
    assert run("path", "vgg19").output.strip() == str(embedded_path())
    assert run("path").output.strip() == str(tmp_path / "cache" / "weights")


def test_path_of_a_missing_network_says_how_to_get_it():
    error = error_of(run("path", "vgg16"))
    assert str(error) == "vgg16 is not on this machine: run `cnnart weights fetch vgg16`."
    assert error.exit_code == 1


def test_path_of_an_import_only_network_points_at_import():
    assert "cnnart weights import FILE" in str(error_of(run("path", "vgg16-oxford")))


@pytest.mark.parametrize("command", ["path", "verify", "fetch"])
def test_a_wrong_name_is_wrong_usage(command):
    error = error_of(run(command, "vgg91"))
    assert isinstance(error, UsageError)
    assert "Did you mean vgg" in str(error)


def test_import_then_verify_then_damage(vgg11_file):
    result = run("import", vgg11_file)
    assert result.exit_code == 0
    assert "weights (2).pth is vgg11 (not the published file, but its shapes fit)" in result.output
    result = run("verify")
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.output.splitlines()] == [
        *embedded_names(),
        "vgg11",
    ]
    cached_path("vgg11").write_bytes(b"damage")
    assert "is damaged" in str(error_of(run("verify", "vgg11")))
    result = run("verify")
    assert "vgg19: ok" in result.stdout
    assert "vgg11: " in result.stderr
    assert str(error_of(result)) == f"1 of {len(embedded_names()) + 1} failed, see above."
    assert error_of(result).exit_code == 1


def test_import_goes_on_after_a_bad_file(vgg11_file, tmp_path):
    page = tmp_path / "vgg16.pth"
    page.write_text("<html>", encoding="utf-8")
    result = run("import", page, vgg11_file)
    assert "web page saved as weights" in result.stderr
    assert "is vgg11" in result.stdout
    assert error_of(result).exit_code == 3
    alone = error_of(run("import", page))
    assert "web page saved as weights" in str(alone)
    assert alone.exit_code == 1


def test_import_as_the_wrong_network_is_wrong_usage(vgg11_file):
    error = error_of(run("import", vgg11_file, "--as", "vgg13"))
    assert isinstance(error, UsageError)
    assert "is not vgg13: it is vgg11" in str(error)


def test_fetch_offline_downloads_nothing(monkeypatch):
    monkeypatch.setattr("torch.hub.urlopen", lambda *a, **k: pytest.fail("it went online"))
    error = error_of(run("fetch", "vgg13", "--offline"))
    assert isinstance(error, WeightsError)
    assert "cnnart is offline" in str(error)


@pytest.mark.parametrize("name", ["vgg19", "alexnet", "efficientnet-lite0"])
def test_fetch_of_an_embedded_network_needs_nothing(name):
    assert run("fetch", name, "--offline").output == f"{name}: {embedded_path(name)}\n"


def test_a_classification_network_of_torchvision_is_known_but_not_listed_until_it_is_here():
    assert "resnet50" not in run("list").output
    error = error_of(run("fetch", "resnet50", "--offline"))
    assert "https://download.pytorch.org/models/resnet50-" in str(error)
    assert "`cnnart weights fetch resnet50`" in str(error_of(run("path", "resnet50")))
    assert "Did you mean resnet50" in str(error_of(run("fetch", "resnet-50")))


def test_help_does_not_import_torch():
    import subprocess

    code = (
        "import sys; from cnnart.cli.weights import weights; "
        "weights(['--help'], standalone_mode=False); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'torchvision')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "import" in done.stdout
