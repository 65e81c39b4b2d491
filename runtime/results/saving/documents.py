"""Saving one JSON file for all results, whose records are encoded as they come."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pem_edge.runtime import files
from pem_edge.runtime.outside.printable import storable
from pem_edge.runtime.results import coco_format, instance_records
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.saving.saver import Saver, common_folder, png_path, stem
from pem_edge.runtime.sources import Source
from pem_edge.runtime.versioned_json import JsonObject

_OTHER_BYTES = 1 << 16
"""Upper bound of the size of what a file has besides its records."""

Encoded = list[msgspec.Raw]
"""Encoded records, as dictionaries take ten times the memory."""


class _DocumentSaver(Saver):
    """Saves a JSON file, if there was a result."""

    def __init__(self, path: Path, folder: Path, source: Source) -> None:
        self._path, self._folder, self._source = path, folder, source
        self._results = self._bytes = 0
        self._common = common_folder(source)
        self.paths = [path]

    def save(self, result: Result) -> Path:
        """See `Saver.save`."""
        self._add(result)
        self._results += 1
        return self._path

    def bytes_to_finish(self) -> int:
        """See `Saver.bytes_to_finish`."""
        return self._bytes + _OTHER_BYTES if self._results else 0

    def close(self) -> None:
        """Write the file."""
        if self._results:
            with files.write_atomically(self._path) as temporary:
                temporary.write_bytes(msgspec.json.encode(self._document()))

    def _file_name(self, result: Result) -> str:
        """Return the path of an image within the folder that all images are in."""
        path = Path(result.name)
        if self._common is None or "://" in result.name:
            return storable(path.name)
        return storable(Path(os.path.relpath(path, self._common or ".")).as_posix())

    @abstractmethod
    def _add(self, result: Result) -> None:
        """Encode and keep the records of a result."""

    @abstractmethod
    def _document(self) -> JsonObject | Encoded:
        """Return the content of the file."""

    def _encode(self, records: Iterable[JsonObject]) -> Encoded:
        encoded = [msgspec.json.encode(record) for record in records]
        self._bytes += sum(len(each) + 1 for each in encoded)
        return [msgspec.Raw(each) for each in encoded]


class PanopticDocument(_DocumentSaver):
    """Saves ``panoptic.json``, which lists the segments of each panoptic map in COCO's format."""

    def __init__(self, folder: Path, source: Source) -> None:
        super().__init__(folder / "panoptic.json", folder, source)
        self._images: Encoded = []
        self._annotations: Encoded = []

    def _add(self, result: Result) -> None:
        image_id, size = stem(self._source, result.name), result.geometry.output_size
        png = png_path("panoptic", self._folder, self._source, result.name).relative_to(self._folder)
        self._images += self._encode([coco_format.image(image_id, self._file_name(result), size)])
        annotation = coco_format.annotation(image_id, png.as_posix(), result.saved_segments, result.labels)
        self._annotations += self._encode([annotation])
        self._labels = result.labels

    def _document(self) -> JsonObject:
        return coco_format.document(self._annotations, self._images, self._labels)


class InstancesDocument(_DocumentSaver):
    """Saves ``instances.json``, which lists the confident instances of all images as COCO's results."""

    def __init__(self, folder: Path, source: Source) -> None:
        super().__init__(folder / "instances.json", folder, source)
        self._records: Encoded = []

    def _add(self, result: Result) -> None:
        image_id = stem(self._source, result.name)
        found = result.confident_instances
        self._records += self._encode(instance_records.of(found, image_id, self._file_name(result), result.labels))

    def _document(self) -> Encoded:
        return self._records
