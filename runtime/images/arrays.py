"""Arrays of NumPy and of other libraries as images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images.limits import require_pixels
from pem_edge.runtime.outside.printable import a_type
from pem_edge.runtime.outside.reading import reading

_EXPECTED = "a path, an address, the bytes of an image file, a PIL image, or an array of uint8, RGB, (height, width, 3)"
_NUMPY_PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__")
_CHANNELS = (1, 3, 4)


def from_array(image: object) -> NDArray[np.uint8]:
    """Return an array as RGB uint8 (H, W, 3), contiguous. An RGB array that is contiguous is not copied.

    Args:
        image: A uint8 array in host memory: RGB (H, W, 3), RGBA (H, W, 4), or gray (H, W) or (H, W, 1). It is a NumPy
            array, or of another library that shares arrays through NumPy's protocols, a memoryview or DLPack.

    Raises:
        InputError: If ``image`` is anything else, or above the limit of pixels.
    """
    array = _to_numpy(image)
    if array.ndim in (2, 3):  # before anything looks at the pixels, of which a view of few bytes may have any number
        require_pixels(array.shape[0], array.shape[1], "the image")
    if array.dtype != np.uint8:
        raise InputError(f"the image is a {array.dtype} array, expected {_EXPECTED}: {_type_cure(array)}")
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS or array.size == 0:
        raise InputError(f"the image has shape {array.shape}, expected (height, width, 3): {_shape_cure(array.shape)}")
    return np.ascontiguousarray(np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3])


def _to_numpy(image: object) -> NDArray[np.generic]:
    cure = "convert it to a NumPy array of uint8 first"
    with reading("the image", InputError, expected="an array in host memory", cure=cure):
        if isinstance(image, memoryview) or any(hasattr(image, name) for name in _NUMPY_PROTOCOLS):
            return np.asarray(image)
        if hasattr(image, "__dlpack__") and hasattr(image, "__dlpack_device__"):
            return np.from_dlpack(image)
    raise InputError(f"the image is {a_type(image)}, expected {_EXPECTED}, or a list of these")


def _type_cure(array: NDArray[np.generic]) -> str:
    if array.dtype.kind != "f":
        return "scale it to 0 to 255 and convert it to uint8"
    in_unit_range = not np.logical_or(np.less(array, 0), np.greater(array, 1)).any()
    return "multiply it by 255 and convert it to uint8" if in_unit_range else "convert it to uint8, 0 to 255"


def _shape_cure(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return "it has no pixels"
    if len(shape) == 1:
        return "give the content of an image file as bytes, and pixels as RGB, RGBA or gray"
    if len(shape) == 4:
        return "give a batch as a list of images"
    if len(shape) == 3 and shape[0] in _CHANNELS:
        return "its channels come first, transpose it by (1, 2, 0)"
    return "give RGB, RGBA or gray"
