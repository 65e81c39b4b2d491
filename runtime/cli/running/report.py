"""Printing results as they are done: a line of text, a line of JSON, or one JSON object at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from pem_edge.runtime.cli import output
from pem_edge.runtime.cli.running import records
from pem_edge.runtime.cli.running.options import RunRequest
from pem_edge.runtime.cli.running.reasons import why_empty
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.outside.printable import storable
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.sources import Footage, Source
from pem_edge.runtime.versioned_json import JsonObject


class Report:
    """Prints what becomes of each image.

    Attributes:
        is_text: Whether text is printed, and not JSON.
        is_by_line: Whether a line of JSON is printed for each image.
        document: What ``--json`` prints at the end.
        results: The number of results.
        empty: How many of them have nothing in them.
        remedies: What may help these.
    """

    def __init__(self, request: RunRequest, segmenter: Segmenter, source: Source, folder: Path | None) -> None:
        self.is_text = not (request.json or request.jsonl)
        self.results = self.empty = 0
        self.remedies: set[str] = set()
        self._thresholds = segmenter.thresholds
        self._source = source.name if isinstance(source, Footage) else None
        self._keep, self.is_by_line = request.json, request.jsonl
        self._images: list[JsonObject] = []
        self._errors: list[str] = []
        self.document: JsonObject = {
            "model": storable(request.model),
            "backend": segmenter.backend.name,
            "backend_version": records.version_of(segmenter.backend),
            "bf16": segmenter.bf16,
            "output": None if folder is None else storable(str(folder)),
            "images": self._images,
            "dropped": 0,
            "errors": self._errors,
        }

    def keep(self, result: Result, paths: Mapping[str, Path]) -> None:
        """Keep the record of a result whose files are ``paths``, by kind, for the end."""
        if self._keep:
            self._images.append(self._record(result, paths))

    def show(self, result: Result, paths: Mapping[str, Path]) -> None:
        """Print a result, and count it."""
        self.results += 1
        emptiness = None if records.regions_of(result) else why_empty(result, self._thresholds)
        if emptiness is not None:
            self.empty += 1
            self.remedies.add(emptiness.remedy)
        if self.is_by_line:
            self._print(json.dumps(self._record(result, paths)))
        elif self.is_text:
            self._print(records.describe(result, emptiness))

    @property
    def errors(self) -> int:
        """Number of images and sources that could not be read."""
        return len(self._errors)

    def fail(self, error: InputError) -> None:
        """Print the error of an image or of the source, or keep it for the end."""
        self._errors.append(str(error))
        if self.is_by_line:
            self._print(json.dumps({**records.identify(error.image, self._source), "error": str(error)}))

    def _record(self, result: Result, paths: Mapping[str, Path]) -> JsonObject:
        return records.make_record(result, paths, self._source)

    def _print(self, line: str) -> None:
        with tqdm.external_write_mode():
            output.show(line)
