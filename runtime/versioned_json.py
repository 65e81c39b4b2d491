"""JSON as this project writes it, and reads it where its schema has a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from pem_edge.runtime.errors import PemError

Content = TypeVar("Content", bound=msgspec.Struct)
JsonObject: TypeAlias = dict[str, Any]  # whatever JSON can hold


def to_json(content: object) -> bytes:
    """Return indented JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


@dataclass(frozen=True)
class Schema(Generic[Content]):
    """How ``content`` of up to ``version`` is read. Messages hold its ``name``, and the ``cure`` if it is damaged."""

    content: type[Content]
    version: int
    name: str
    maker: str
    cure: str
    error: type[PemError]

    def parse(self, data: bytes, source: str) -> Content:
        """Read ``data``, named ``source`` in messages. Raises ``error`` if it is damaged, too new or something else."""
        try:
            version = msgspec.json.decode(data, type=_Versioned).schema_version
            if version > self.version:
                raise self.error(
                    f"{source} has {self.name} schema {version}, this pem-edge reads up to {self.version}: "
                    "pip install --upgrade pem-edge"
                )
            return msgspec.json.decode(data, type=self.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.error(f"{source} is not a {self.name} of {self.maker} ({error}): {self.cure}") from error


class _Versioned(msgspec.Struct):
    schema_version: int
