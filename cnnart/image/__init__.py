"""Pictures as tensors, and the one door to them: read, write, convert, resize."""

from cnnart.image.converting import to_picture
from cnnart.image.masks import read_mask
from cnnart.image.picture import Picture
from cnnart.image.reading import MAX_PIXELS, read_image, read_record
from cnnart.image.resizing import fit_long_side, resize
from cnnart.image.sheet import draw_sheet
from cnnart.image.writing import output_format, to_pil, write_image

__all__ = [
    "MAX_PIXELS",
    "Picture",
    "draw_sheet",
    "fit_long_side",
    "output_format",
    "read_image",
    "read_mask",
    "read_record",
    "resize",
    "to_picture",
    "to_pil",
    "write_image",
]
