"""A dataset in COCO's panoptic format (https://cocodataset.org/#format-data), whose images are read on access."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets import coco_document, panoptic_maps
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.datasets.named_files import NamedFiles


class CocoPanoptic:
    """The images of a JSON file that have annotations, in the order of the annotations.

    Class indices follow the order of ``categories``; the ids in the file may be any. Accessing a sample raises
    InputError if its image or map is damaged, their sizes differ, or the map has an id that no segment has.

    Args:
        annotations: The JSON file.
        image_folder: The folder of the images, which may also lie in folders below it.
        panoptic_folder: The folder of the panoptic maps, which are PNGs, or folders below it.

    Raises:
        InputError: If the JSON file is missing, invalid or contradicts itself, or a file that it names is missing.
    """

    def __init__(self, annotations: Path, image_folder: Path, panoptic_folder: Path) -> None:
        self._path = annotations
        self.labels: Sequence[Label]
        self.labels, self._annotations = coco_document.read(annotations)
        panoptic, pictures = (
            NamedFiles(folder, kind, annotations)
            for folder, kind in ((panoptic_folder, "map"), (image_folder, "image"))
        )
        self._maps = [panoptic.find(record.panoptic) for record in self._annotations]
        self._images = [pictures.find(record.image) for record in self._annotations]

    @property
    def names(self) -> Sequence[str]:
        """The paths of the images."""
        return [str(path) for path in self._images]

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, index: int) -> Sample:
        path, segments = self._images[index], self._annotations[index].segments
        image = images.read(path)
        size, listed = image.shape[:2], {segment.id for segment in segments}
        return Sample(str(path), image, panoptic_maps.read(self._maps[index], size, listed, self._path), segments)
