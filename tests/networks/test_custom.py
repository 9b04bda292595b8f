"""Networks of one's own: odd attributes, activations in place, odd kinds of module, odd manners."""

import contextlib
import dataclasses
import io
import json
import os
import sys
import threading
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from cnnart.errors import CnnartError, UsageError
from cnnart.methods.inspect.config import SaliencyConfig
from cnnart.methods.inspect.index import last_layer
from cnnart.methods.inspect.inversion import default_layers
from cnnart.methods.inspect.saliency import SaliencyMaps
from cnnart.methods.inspect.target import class_target, last_map, likeliest, probabilities_of
from cnnart.networks.guest import KEPT, guest
from cnnart.networks.zoo import open_network
from tests.helpers.files import cnnart_process

SIDE = 32
PICTURE = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


class MyInterrupt(KeyboardInterrupt):
    """Not Ctrl-C."""


@pytest.fixture
def opened(monkeypatch):
    """Opens what a function returns, as MODULE:FUNCTION would."""

    def open_(make, **options):
        monkeypatch.setattr(sys.modules[__name__], "made", make, raising=False)
        return open_network(f"{__name__}:made", **options)

    return open_


def refusal(opened, make, **options):
    with pytest.raises(UsageError) as caught:
        opened(make, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{__name__}:made", "NAME")


class Small(nn.Module):
    def __init__(self, **facts):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 4)
        for name, value in {"input_size": SIDE, **facts}.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


# Attributes


@pytest.mark.parametrize(
    "size",
    [(3, SIDE, SIDE), (SIDE, SIDE), [SIDE], torch.tensor(SIDE), np.int64(SIDE), float(SIDE)],
)
def test_the_size_in_the_forms_people_have_it(opened, size):
    assert opened(lambda: Small(input_size=size)).input_size == SIDE
    assert opened(lambda: Small(resize=size)).resize == SIDE


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((64, 96), "is (64, 96): pictures are cropped to squares: give one number."),
        ("64", "is '64': give one whole number, the side of a square in pixels."),
        (True, "is True: give one whole number, the side of a square in pixels."),
        ({"height": 64}, "is {'height': 64}: give one whole number"),
        (float("nan"), "is nan: give one whole number"),
        ((), "is (): give one whole number"),
        (0, "is 0: use 1 to 4096 pixels."),
        (10**9, "is 1000000000: use 1 to 4096 pixels."),
    ],
)
@pytest.mark.parametrize("attribute", ["input_size", "resize"])
def test_a_size_that_is_none_is_named(opened, attribute, size, reason):
    said = refusal(opened, lambda: Small(**{attribute: size}))
    assert said.startswith(f"The attribute {attribute} of NAME {reason}")


@pytest.mark.parametrize(
    "half",
    [
        0.5,
        [0.5, 0.5, 0.5],
        np.full(3, 0.5),
        torch.full((1, 3, 1, 1), 0.5),
        nn.Parameter(torch.full((3, 1, 1), 0.5)),
        [127.5, 127.5, 127.5],
    ],
)
def test_mean_and_deviation_in_the_forms_people_have_them(opened, half):
    network = opened(lambda: Small(mean=half, std=half))
    plain = opened(lambda: Small(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
    plain.model.load_state_dict(network.model.state_dict(), strict=False)
    torch.testing.assert_close(network.logits(PICTURE), plain.logits(PICTURE))


def test_a_method_or_a_layer_is_no_mean(opened):
    class Named(Small):
        def mean(self):
            return 3

        def resize(self):
            return 3

    network = opened(lambda: Named(std=nn.Linear(2, 2)))
    assert network.preprocessing == opened(Small).preprocessing
    assert opened(lambda: Small(mean=None, std=None)).preprocessing == network.preprocessing


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"std": [0, 0, 0]}, "std of NAME is [0, 0, 0]: no number in it may be 0 or less."),
        ({"std": (1, 1, -1)}, "std of NAME is (1, 1, -1): no number in it may be 0 or less."),
        ({"mean": [float("nan")] * 3}, "mean of NAME is [nan, nan, nan]: give three numbers"),
        ({"mean": "imagenet"}, "mean of NAME is 'imagenet': give three numbers"),
        ({"classes": "cat dog"}, "classes of NAME is 'cat dog': give a list of names"),
        ({"classes": {"cat", "dog"}}, "give a list of names, or a dict from index to name."),
        ({"classes": {"a": "b"}}, "give a list of names, or a dict from index to name."),
        ({"classes": list("abcde")}, "it has names beyond the 4 outputs there are."),
    ],
)
def test_what_makes_no_sense_is_named(opened, facts, reason):
    assert reason in refusal(opened, lambda: Small(**facts))


@pytest.mark.parametrize(
    "classes",
    [
        ["cat", "dog", "owl", "fox"],
        np.array(["cat", "dog", "owl", "fox"]),
        {0: "cat", 1: "dog", 2: "owl", 3: "fox"},
        {"0": "cat", "1": "dog", "2": "owl", "3": "fox"},
        {"fox": 3, "cat": 0, "dog": 1, "owl": 2},
    ],
)
def test_classes_in_the_forms_people_have_them(opened, classes):
    assert opened(lambda: Small(classes=classes)).classes == ["cat", "dog", "owl", "fox"]


def test_too_few_names_leave_numbers_and_a_count_names_none(opened):
    network = opened(lambda: Small(classes=["cat", "dog"]))
    assert network.classes == ["cat", "dog", "class 2", "class 3"]
    assert network.with_dtype(torch.bfloat16).classes == network.classes
    assert opened(lambda: Small(classes=4)).classes is None


def test_an_attribute_that_raises_is_told(opened):
    class Sick(Small):
        @property
        def mean(self):
            raise RuntimeError("not yet")

    assert refusal(opened, Sick).startswith("NAME cannot be used (")


# Activations


class Wired(nn.Module):
    """A residual block and a shared ReLU, called in one of many ways."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.c, self.head = nn.Conv2d(8, 12, 3, 2, 1), nn.Linear(12, 5)
        self.how, self.input_size = how, SIDE
        if how in ("plain", "module", "statement of a module"):
            self.relu = nn.ReLU(inplace=how != "plain")

    def act(self, x):
        if self.how in ("plain", "module"):
            return self.relu(x)
        if self.how == "statement of a module":
            self.relu(x)
            return x
        if self.how == "statement":
            x.relu_()
            return x
        return {
            "functional": lambda: F.relu(x),
            "functional in place": lambda: F.relu(x, inplace=True),
            "positional": lambda: F.relu(x, True),
            "named": lambda: F.relu(input=x, inplace=True),
            "underscore": lambda: torch.relu_(x),
            "method": x.relu,
            "clamp": lambda: x.clamp_(min=0),
        }[self.how]()

    def forward(self, x):
        x = self.act(self.a(x))
        y = self.b(x)
        y += x
        y = self.act(y)
        return self.head(self.act(self.c(y)).mean((2, 3)))


def wired(how):
    torch.manual_seed(0)
    net = Wired(how)
    return net.requires_grad_(True)


def maps_of(network):
    assert last_map(network) == "relu"
    target = class_target(network, 2)
    maps = SaliencyMaps(network, target, PICTURE, SaliencyConfig())
    return [maps(name) for name in ("gradient", "guided-backprop", "grad-cam")]


@pytest.mark.parametrize(
    "how",
    [
        "module",
        "statement of a module",
        "statement",
        "functional",
        "functional in place",
        "positional",
        "named",
        "underscore",
        "method",
    ],
)
def test_activations_give_the_maps_of_the_plain_network_however_they_are_called(opened, how):
    plain, other = opened(lambda: wired("plain")), opened(lambda: wired(how))
    assert list(other.geometry) == list(plain.geometry) == ["a", "b", "c", "relu", "head", "logits"]
    assert other.kind("relu") == "relu"
    assert other.receptive_field("relu") == plain.receptive_field("relu")
    wanted = [*plain.geometry]
    for name, found in other(PICTURE, wanted).items():
        torch.testing.assert_close(found, plain(PICTURE, wanted)[name])
    for found, expected in zip(maps_of(other), maps_of(plain), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_clamp_is_no_relu(opened):
    network = opened(lambda: wired("clamp"))
    maps = SaliencyMaps(network, class_target(network, 2), PICTURE, SaliencyConfig())
    with pytest.raises(UsageError, match="this network has none"):
        maps("guided-backprop")


def test_a_function_whose_result_is_its_modules_is_not_listed_twice(opened):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

        def forward(self, x):
            x = F.silu(self.conv(x), inplace=True)
            return F.leaky_relu_(self.relu(F.relu(x)), 0.2)

    network = opened(nn.Sequential(Block(), Block()))
    assert [*network.geometry][:5] == ["0.conv", "0.silu", "0.relu_call", "0.relu", "0"]
    found = network(PICTURE, ["1.silu", "1.conv"])
    torch.testing.assert_close(found["1.silu"], F.silu(found["1.conv"]))


def test_grad_cam_of_maps_with_their_channels_last(opened):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.mix, self.head = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.mix(self.stem(x).permute(0, 2, 3, 1)).mean((1, 2)))

    network = opened(Last)
    maps = SaliencyMaps(network, class_target(network, 1), PICTURE, SaliencyConfig(), "mix")
    assert maps("grad-cam").shape == (1, 1, SIDE, SIDE)


# Kinds of module


def plain():
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(8, 4)),
    )
    net.input_size = SIDE
    return net


def lazy():
    net = nn.Sequential(nn.LazyConv2d(8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))
    net.input_size = SIDE
    return net


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.jit.script(plain()), "NAME is a TorchScript module, whose layers cannot"),
        (
            lambda: torch.jit.trace(plain(), PICTURE),
            "NAME is a TorchScript module, whose layers cannot",
        ),
        (
            lambda: nn.Sequential(torch.jit.script(plain())),
            "NAME's 0 is a TorchScript module, whose layers cannot",
        ),
        (lazy, "NAME is not initialized (lazy modules): run it once on a picture"),
        (lambda: plain().to("meta"), "NAME has no weights: they are on torch's meta device."),
        (
            lambda: torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear}),
            "NAME's 4 is quantized, and has no gradients",
        ),
        (lambda: plain().state_dict(), "NAME returned an OrderedDict, not a torch.nn.Module."),
        (lambda size: plain(), "NAME() failed (TypeError: "),
        (lambda: nn.Linear(3 * 224, 4), "NAME cannot take a picture of 1x3x224x224 ("),
        (nn.Identity, "NAME has no layers"),
    ],
)
def test_a_module_that_cannot_be_looked_into_is_named(opened, make, reason):
    assert refusal(opened, make).startswith(reason)


class Stubborn(nn.Sequential):
    """Its train() returns nothing, as many do that keep batch norm frozen."""

    def train(self, mode=True):
        super().train(mode)


@pytest.mark.parametrize(
    "make",
    [
        plain,
        lambda: nn.DataParallel(plain()),
        lambda: torch.compile(plain(), backend="eager"),
        lambda: nn.DataParallel(torch.compile(plain(), backend="eager")),
        lambda: plain().half().float(),
        lambda: plain().double(),
        lambda: plain().train(),
        lambda: plain().requires_grad_(False).to(memory_format=torch.channels_last),
    ],
)
def test_wrapped_compiled_and_other_precisions_are_the_plain_network(opened, make):
    network = opened(make)
    assert network.input_size == SIDE
    assert list(network.geometry) == [*"01234", "logits"]
    expected = opened(plain).logits(PICTURE)
    torch.testing.assert_close(network.logits(PICTURE), expected, atol=1e-3, rtol=1e-3)


def test_half_precision_extra_state_and_a_train_that_returns_nothing(opened):
    class Extra(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.input_size = Stubborn(*plain()), SIDE

        def get_extra_state(self):
            return {"epoch": 3}

        def set_extra_state(self, state):
            pass

        def forward(self, x):
            return self.net(x)

    network = opened(lambda: Extra().half())
    assert len(network.sha256) == 64
    assert network.smallest_side(["net.0"]) == 1
    assert not network.model.net.training
    expected = opened(plain).logits(PICTURE)
    torch.testing.assert_close(network.logits(PICTURE), expected, atol=1e-2, rtol=1e-2)


Named = namedtuple("Named", ["features", "logits"])


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    loss: None = None


class ModelOutput(OrderedDict):
    """As in transformers: a dict whose values are attributes too."""

    def __getattr__(self, name):
        return self[name]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: {"features": x[None], "logits": x},
        lambda x: {"scores": x},
        lambda x: OrderedDict(out=x, aux=x + 1),
        lambda x: ModelOutput(loss=None, logits=x),
        lambda x: Output(x),
        lambda x: Named(x + 1, x),
        lambda x: (x, x + 1),
        lambda x: [x],
    ],
)
def test_scores_are_found_in_what_the_network_returns(opened, wrap):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.input_size = plain(), SIDE

        def forward(self, x):
            return wrap(self.net(x))

    network = opened(Odd, classifier=True)
    torch.testing.assert_close(network.logits(PICTURE), opened(plain).logits(PICTURE))


@pytest.mark.parametrize("wrap", [lambda x: None, lambda x: 3, lambda x: {"a": x, "b": x}])
def test_a_network_without_scores_is_no_classifier(opened, wrap):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.input_size = plain(), SIDE

        def forward(self, x):
            return wrap(self.net(x))

    assert "net.0" in opened(Odd).geometry
    assert refusal(opened, Odd, classifier=True).startswith("NAME has no classes: its output")


# Manners


def test_what_a_network_prints_goes_to_standard_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatty_net.py").write_text(
        "from torch import nn\n"
        "print('importing')\n"
        "class Net(nn.Module):\n"
        "    input_size = 8\n"
        "    def forward(self, x):\n"
        "        print('looking')\n"
        "        return x.mean((2, 3))\n"
        "def make():\n    print('making')\n    return nn.Sequential(nn.Conv2d(3, 3, 1), Net())\n",
        encoding="utf-8",
    )
    open_network("chatty_net:make").logits(PICTURE)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.split()[:3] == ["importing", "making", "looking"]


def test_a_module_that_exits_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "leaving": "import sys\nsys.exit(3)\n",
        "raising": "raise BaseException('no way')\n",
        "crooked": "def make(:\n",
    }.items():
        (tmp_path / f"{name}_net.py").write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=rf"^{name}_net could not be imported \("):
            open_network(f"{name}_net:make")


@pytest.mark.parametrize("error", [SystemExit(2), ValueError("only once"), RuntimeError("no")])
def test_a_network_that_fails_later_is_told_as_such(opened, error):
    class Later(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.input_size, self.calls = plain(), SIDE, 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 1:
                raise error
            return self.net(x)

    network = opened(Later)
    with pytest.raises(UsageError, match=r"failed on a picture of 32 x 32 \("):
        network.logits(PICTURE)


def test_lack_of_memory_and_ctrl_c_are_not_the_networks_failure(opened):
    for error in (torch.OutOfMemoryError("out of memory"), KeyboardInterrupt()):
        network = opened(plain)
        network.model.forward = lambda x, error=error: (_ for _ in ()).throw(error)
        with pytest.raises(type(error)):
            network.logits(PICTURE)


def test_a_layer_that_is_not_reached_again_is_told(opened):
    class Fickle(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.rare, self.input_size = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), SIDE

        def forward(self, x):
            x = self.conv(x)
            return self.rare(x) if x.shape[-1] == SIDE else x

    network = opened(Fickle)
    with pytest.raises(UsageError, match="rare was not reached as often"):
        network(PICTURE[..., :16], ["rare"])


def test_a_files_name_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one_net.py").write_text("", encoding="utf-8")
    for name in ("one_net.py:make", "./one_net.py:make"):
        with pytest.raises(UsageError, match="write the module's, one_net:make"):
            open_network(name)


def test_shared_weights(opened):
    def shared():
        net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3))
        net[2].weight = net[0].weight
        return net

    network = opened(shared)
    assert [*network.geometry] == ["0", "1", "2"]
    assert network.smallest_side(["2"]) == 3


# What a network does to its outputs, its gradients and the process


class Doing(nn.Module):
    """``plain()``, and what is done with its input and its scores."""

    def __init__(self, before=lambda x: x, after=lambda y: y, within=contextlib.nullcontext):
        super().__init__()
        self.net, self.input_size = plain(), SIDE
        self.before, self.after, self.within = before, after, within

    def forward(self, x):
        with self.within():
            return self.after(self.net(self.before(x)))


def leading_nowhere(y):
    torch.set_grad_enabled(False)
    return y * 1


@pytest.mark.parametrize(
    ("facts", "does"),
    [
        ({"within": torch.no_grad}, "it computes under torch.no_grad(). Take that out"),
        ({"within": torch.inference_mode}, "it computes under torch.inference_mode(). Take that"),
        ({"after": lambda y: y.detach()}, "it is cut off from the picture (detach(), "),
        ({"before": lambda x: x.detach()}, "it is cut off from the picture (detach(), "),
        ({"after": leading_nowhere}, "it is cut off from the picture (detach(), "),
        ({"after": lambda y: (10 * y).long()}, "it rounds to int64. Take that out"),
        ({"after": lambda y: y > 0}, "it rounds to bool. Take that out"),
    ],
)
def test_a_network_without_gradients_is_refused_where_they_are_needed(opened, facts, does):
    network = opened(lambda: Doing(**facts))
    assert network.logits(PICTURE).isfinite().all()
    assert list(network(PICTURE, ["net.0"])) == ["net.0"]
    maps = SaliencyMaps(network, class_target(network, 1), PICTURE, SaliencyConfig())
    for method in ("gradient", "smoothgrad", "integrated-gradients", "grad-cam"):
        with pytest.raises(UsageError, match="returns what has no gradient: ") as caught:
            maps(method)
        assert does in str(caught.value)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda y: y * torch.nan, "The scores of NAME are not finite numbers (NaN or infinite): "),
        (lambda y: y + torch.inf, "The scores of NAME are not finite numbers (NaN or infinite): "),
        (lambda y: y.to(torch.complex64), "NAME returns complex numbers: take "),
        (lambda y: y.to_sparse(), "NAME returns a sparse tensor: make it dense "),
        (lambda y: y[:1], "NAME returns 1 rows of scores for 2 pictures: return one for each."),
    ],
)
def test_scores_that_nothing_can_be_made_of_are_refused(opened, wrong, told):
    network = opened(lambda: Doing(after=wrong))
    with pytest.raises(CnnartError) as caught:
        probabilities_of(network, PICTURE.repeat(2, 1, 1, 1))
    assert str(caught.value).replace(network.name, "NAME").startswith(told)


def test_a_class_ruled_out_by_minus_infinity_and_no_classes_at_all(opened):
    one = torch.tensor([-torch.inf, 0, 0, 0])
    assert likeliest(opened(lambda: Doing(after=lambda y: y + one)), PICTURE, 9)[-1] == (0, 0)
    assert refusal(opened, lambda: Doing(after=lambda y: y[:, :0]), classifier=True).startswith(
        "NAME has no classes"
    )


def test_scores_from_nowhere_have_no_map(opened):
    network = opened(lambda: Later(lambda x, net: torch.zeros(len(x), 3)))
    with pytest.raises(UsageError, match="tells places apart: no layer"):
        last_map(network)
    with pytest.raises(UsageError, match="nothing in it computes a map"):
        last_layer(network)
    with pytest.raises(UsageError, match="has no layers of maps: name them with"):
        default_layers(network)


class Later(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.net, self.input_size, self.does = plain(), SIDE, forward

    def forward(self, x):
        return self.does(x, self.net)


def test_gradients_that_are_no_numbers_are_told(opened):
    def forward(x, net):  # the norm's slope at 0 is 0 / 0
        return net(x) + (x - x).square().sum((1, 2, 3)).sqrt()[:, None]

    network = opened(lambda: Later(forward))
    maps = SaliencyMaps(network, class_target(network, 1), PICTURE, SaliencyConfig())
    for method in ("gradient", "smoothgrad", "integrated-gradients"):
        with pytest.raises(CnnartError, match=r"^The gradients of .* are not finite numbers"):
            maps(method)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_parts_are_computed_as_they_are_written(opened, reentrant):
    def forward(x, net):
        x = checkpoint(net[:3], x, use_reentrant=reentrant)
        return checkpoint(net[3:], x, use_reentrant=reentrant)

    network, other = opened(lambda: Later(forward)), opened(lambda: Doing())
    for method in ("gradient", "guided-backprop", "grad-cam"):
        found, expected = (
            SaliencyMaps(n, class_target(n, 1), PICTURE, SaliencyConfig())(method)
            for n in (network, other)
        )
        torch.testing.assert_close(found, expected)
    assert torch.utils.checkpoint.CheckpointFunction.__module__ == "torch.utils.checkpoint"


@pytest.mark.parametrize(
    "error",
    [ValueError("no way"), SystemExit(4), SystemExit(2**80), GeneratorExit(), MyInterrupt()],
)
def test_what_fails_on_the_way_back_is_told_as_the_networks_failure(opened, error):
    def forward(x, net):
        scores = net(x)
        if scores.requires_grad:
            scores.register_hook(lambda slope: (_ for _ in ()).throw(error))
        return scores

    network = opened(lambda: Later(forward))
    maps = SaliencyMaps(network, class_target(network, 1), PICTURE, SaliencyConfig())
    for method in ("gradient", "grad-cam", "integrated-gradients"):
        with pytest.raises(UsageError, match="failed on the way back to the picture ") as caught:
            maps(method)
        assert type(error).__name__ in str(caught.value)


def test_a_message_that_cannot_be_made_or_would_steer_a_terminal(opened):
    class Nasty(Exception):
        def __str__(self):
            raise RuntimeError

    for error, told in ((Nasty(), "(Nasty)."), (ValueError("\x1b[2J`size`"), r"\x1b[2J'size')")):
        network = opened(plain)
        network.model.forward = lambda x, error=error: (_ for _ in ()).throw(error)
        with pytest.raises(UsageError) as caught:
            network.logits(PICTURE)
        assert told in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(0), GeneratorExit(), MyInterrupt()])
def test_a_network_that_always_fails_is_not_called_too_small(opened, error):
    calls = []

    def forward(x, net):
        calls.append(1)
        if len(calls) > 1:
            raise error
        return net(x)

    network = opened(lambda: Later(forward))
    with pytest.raises(UsageError, match=f"failed on a picture of {SIDE} x {SIDE} "):
        network.smallest_side(["net.0"])


def mischief(x, net):
    """All at once, then the scores."""
    print("looking")
    sys.stdout.close()
    sys.stdout = sys.stdin = None
    sys.stderr = io.TextIOWrapper(sys.stderr.detach())
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_num_threads(3)
    torch.manual_seed(7)
    sys.setrecursionlimit(500)
    os.chdir("/")
    return net(x)


def test_what_a_network_does_to_the_process_is_undone(opened, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = [read() for read, _ in KEPT]
    network = opened(lambda: Later(mischief))
    assert network.smallest_side(["net.0"]) == 1
    torch.testing.assert_close(network.logits(PICTURE), opened(lambda: Doing()).logits(PICTURE))
    assert [read() for read, _ in KEPT] == kept
    said = capsys.readouterr()
    assert (said.out, set(said.err.split())) == ("", {"looking"})


def test_what_a_module_does_to_the_process_is_undone_when_its_network_is_made(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide_net.py").write_text(
        "import os, sys, torch\n"
        "torch.set_default_dtype(torch.float64)\n"
        "os.chdir('/')\n"
        "sys.stdout.close()\n"
        "sys.stderr = None\n"
        "def make():\n"
        "    net = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1))\n"
        "    assert net[0].weight.dtype == torch.float64 and os.getcwd() == '/'\n"
        "    return net\n",
        encoding="utf-8",
    )
    kept = [read() for read, _ in KEPT]
    assert open_network("wide_net:make").model[0].weight.dtype == torch.float32
    assert [read() for read, _ in KEPT] == kept


def test_threads_of_a_network_are_not_waited_for(tmp_path):
    (tmp_path / "busy_net.py").write_text(
        "import threading\n"
        "from torch import nn\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "net = nn.Sequential(nn.Conv2d(3, 3, 1))\n",
        encoding="utf-8",
    )
    process = cnnart_process("inspect", "layers", "busy_net:net", "--json", cwd=tmp_path)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out)["layers"]


def test_guests_beside_each_other_leave_the_streams_as_they_were():
    before, gate = sys.stdout, threading.Barrier(2)

    def visit():
        for _ in range(50):
            gate.wait(60)
            with guest("it"):
                sys.stdout = None

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before
