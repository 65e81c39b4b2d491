"""Writing JSON, and reading JSON documents whose schema has a version."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec

from pem_edge.runtime.errors import PemError
from pem_edge.runtime.outside.reading import reading

Content = TypeVar("Content", bound=msgspec.Struct)
JsonObject: TypeAlias = dict[str, object]
"""A JSON object, whose values are anything that JSON can represent."""


def to_json(content: object) -> bytes:
    """Return indented JSON that ends with a newline. ``content`` is anything that msgspec can encode."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


@dataclass(frozen=True)
class Schema(Generic[Content]):
    """A kind of JSON document that states its ``schema_version``.

    Attributes:
        content: The type of the document.
        version: The newest version that can be read.
        name: The name of this kind of document, for messages.
        maker: The program that writes such documents, for messages.
        cure: The advice for a damaged document, for messages.
        error: The type of the errors.
    """

    content: type[Content]
    version: int
    name: str
    maker: str
    cure: str
    error: type[PemError]

    def parse(self, data: bytes, source: str) -> Content:
        """Parse a document.

        Args:
            data: The JSON.
            source: A name for it in messages.

        Raises:
            PemError: If it is damaged, too new, or another kind of document. The type is ``self.error``.
        """
        with reading(source, self.error, expected=f"a {self.name} of {self.maker}", cure=self.cure):
            return self._parse(data.removeprefix(codecs.BOM_UTF8), source)  # the mark is what editors add

    def _parse(self, data: bytes, source: str) -> Content:
        try:
            version = msgspec.json.decode(data, type=_Versioned).schema_version
            if version > self.version:
                raise self.error(
                    f"{source} has {self.name} schema {version}, this pem-edge reads up to {self.version}: "
                    "install a newer pem-edge"
                )
            return msgspec.json.decode(data, type=self.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.error(f"{source} is not a {self.name} of {self.maker} ({error}): {self.cure}") from error


class _Versioned(msgspec.Struct):
    schema_version: Annotated[int, msgspec.Meta(ge=1)]
