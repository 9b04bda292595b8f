"""ComfyUI: two nodes, in the menu under image/cnnart.

Copy this file into ``ComfyUI/custom_nodes`` and install cnnart into ComfyUI's Python; see
docs/integrations.md.
"""

import numpy as np
import torch

import cnnart

STRENGTH = {"min": 0.0, "max": 1.0, "step": 0.05}


def each(images, paint):
    """A batch (BxHxWxC in [0, 1]) of each of its pictures painted."""
    painted = [paint(np.ascontiguousarray(image[..., :3])) for image in images.cpu().numpy()]
    return torch.stack([torch.from_numpy(np.array(p.convert("RGB"))) for p in painted]) / 255


class CnnartTrainedStyle:
    """One pass of a network."""

    CATEGORY = "image/cnnart"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "paint"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "style": (cnnart.styles(),),
                "strength": ("FLOAT", {"default": 1.0, **STRENGTH}),
            }
        }

    def paint(self, image, style, strength):
        return (each(image, lambda photo: cnnart.fast_stylize(photo, style, strength=strength)),)


class CnnartStyleOfAPicture:
    """Optimized, in the style of any picture: minutes, and what a network cannot do."""

    CATEGORY = "image/cnnart"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "paint"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "style": ("IMAGE",),
                "strength": ("FLOAT", {"default": 0.5, **STRENGTH}),
                "preset": (["draft", "standard", "fine"], {"default": "standard"}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**63 - 1}),
            }
        }

    def paint(self, image, style, strength, preset, seed):
        painting = np.ascontiguousarray(style[0, ..., :3].cpu().numpy())
        settings = {"strength": strength, "preset": preset, "seed": seed}
        return (each(image, lambda photo: cnnart.stylize(photo, painting, **settings)),)


NODE_CLASS_MAPPINGS = {
    "CnnartTrainedStyle": CnnartTrainedStyle,
    "CnnartStyleOfAPicture": CnnartStyleOfAPicture,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "CnnartTrainedStyle": "Paint in a trained style (cnnart)",
    "CnnartStyleOfAPicture": "Paint in the style of a picture (cnnart)",
}
