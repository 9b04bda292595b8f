"""Classes by number, name and WordNet id."""

import pytest

from cnnart.errors import UsageError
from cnnart.networks.imagenet import class_index, class_name
from cnnart.weights.embedded import imagenet_classes


@pytest.mark.parametrize(
    ("text", "index"),
    [
        *(("1", 1), ("goldfish", 1), ("n01443537", 1), (" Goldfish ", 1)),
        *(("great_white_shark", 2), ("Great-White Shark", 2), ("zebra", 340), ("999", 999)),
        ("tabby", 281),
        ("terrier", None),  # several
    ],
)
def test_imagenet(text, index):
    classes = imagenet_classes()
    if index is None:
        with pytest.raises(UsageError, match=r"'terrier' could be .*terrier \(.* and \d+ more"):
            class_index(classes, text)
    else:
        assert class_index(classes, text) == index


def test_a_part_of_a_name_counts_only_where_it_may():
    classes = ["lesser panda", "giant panda", "tiger cat"]
    assert class_index(classes, "giant") == 1
    with pytest.raises(UsageError, match="Unknown class 'giant'"):
        class_index(classes, "giant", part=False)
    with pytest.raises(
        UsageError, match=r"could be lesser panda \(0\), giant panda \(1\): give its number"
    ):
        class_index(classes, "panda")


def test_a_name_of_several_classes_is_never_guessed():
    classes = imagenet_classes()
    assert class_index(classes, "crane") == 517, "there is a crane bird, too"
    assert (class_index(classes, "Cardigan"), class_index(classes, "cardigan")) == (264, 474)
    with pytest.raises(UsageError, match=r"'CARDIGAN' could be Cardigan \(264\), cardigan \(474"):
        class_index(classes, "CARDIGAN")
    assert (class_index(["Cat", "cat"], "cat"), class_index(["Cat", "cat"], "Cat")) == (1, 0)
    with pytest.raises(UsageError, match="could be Cat"):
        class_index(["Cat", "cat"], "CAT")


def test_the_beginning_of_a_name_will_do_if_it_is_one_names():
    assert class_index(["goldfish", "golden retriever", "tench"], "goldf") == 0
    with pytest.raises(UsageError, match="could be goldfish"):
        class_index(["goldfish", "golden retriever", "tench"], "gold")
    with pytest.raises(UsageError, match="Unknown class"):
        class_index(["goldfish", "tench"], " ")


def test_a_name_of_digits_is_a_name_first():
    assert class_index(["7", "3"], "3") == 1
    assert class_index(["7", "3"], "0") == 0
    with pytest.raises(UsageError, match="There is no class 999999999"):
        class_index(["cat"], "9" * 5000)


def test_what_is_no_class():
    with pytest.raises(UsageError, match=r"Unknown class 'goldfisch'. Did you mean goldfish\?"):
        class_index(imagenet_classes(), "goldfisch")
    with pytest.raises(UsageError, match="There is no class 1000: they count from 0 to 999"):
        class_index(imagenet_classes(), "1000")
    with pytest.raises(UsageError, match="n00000001 is none of the WordNet ids"):
        class_index(imagenet_classes(), "n00000001")
    with pytest.raises(UsageError, match="have no names: give a number, not 'cat'"):
        class_index(None, "cat", 10)
    with pytest.raises(UsageError, match="they count from 0 to 9"):
        class_index(None, "10", 10)
    with pytest.raises(UsageError, match="Unknown class 'n01443537'"):
        class_index(["cat", "dog"], "n01443537")  # another network's classes are not ImageNet's


def test_names():
    assert class_name(["cat", "dog"], 1) == "dog"
    assert class_name(None, 3) == class_name(["cat"], 3) == "class 3"
