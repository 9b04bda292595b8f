"""A texture by the method that suits it: what the choice refuses."""

import pytest

from cnnart.errors import UsageError
from cnnart.image.picture import Picture
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.synthesis import TextureInputs, TextureSynthesis
from cnnart.runtime import Runtime


@pytest.mark.parametrize(
    ("method", "ladder"), [("gram", False), ("auto", True), ("quilting", True)]
)
def test_a_network_copies_nothing_that_companions_could_follow(painting, method, ladder):
    inputs = TextureInputs([Picture(painting)], companions=True, ladder=ladder)
    with pytest.raises(UsageError) as error:
        TextureSynthesis(Runtime(device="cpu"), inputs, TextureConfig(method=method))
    assert "copies no pixels" in str(error.value)
