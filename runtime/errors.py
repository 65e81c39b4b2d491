"""The errors that a user can cause.

PemError
├── InputError          an image, folder, video or option that cannot be used
│   └── ArgumentError   an argument of a function that cannot be used; it is a ValueError, too
├── ArtifactError       a model file that is missing, damaged or not exported by pem-edge
│   └── ManifestError   a manifest that is missing, newer than this version, or does not match
├── BackendError        a backend that is not installed or cannot run the artifact
│   └── BrokenBackend   a backend that is installed, but cannot be imported
├── VerificationError   a model that computes something else than its ONNX model, or cannot be compared with it
├── CheckpointError     trained weights that cannot be read or do not fit the model
├── ExportError         an export that is not possible, or whose result fails the parity check
├── CalibrationError    a calibration that is not possible, or statistics of another model
├── TrainingError       a training that is not possible, or that diverged
└── OutputError         a result that cannot be written

Each message is one line: what was found, what was expected, and how to fix it.
"""

from __future__ import annotations

from pem_edge.runtime.escapes import printable


class PemError(Exception):
    """Base class of the errors that a user can cause, as opposed to bugs.

    Example:
        >>> import pem_edge
        >>> try:
        ...     pem_edge.load("demo")("missing.jpg")
        ... except pem_edge.PemError as error:
        ...     print(error)
        missing.jpg does not exist, expected an image (JPEG, PNG, WEBP, TIFF, BMP, PPM, GIF): give another file
    """

    def __str__(self) -> str:
        """Return the message as one line that can be printed, whatever names and foreign messages are in it."""
        return printable(" ".join(super().__str__().splitlines()))


class InputError(PemError):
    """An image, folder, video or option that cannot be used.

    Attributes:
        image: The name of the image of a stream that cannot be read, as `Result.name`; None for other errors.
    """

    image: str | None = None


class ArgumentError(InputError, ValueError):
    """An argument of a function that has the wrong type or is out of range."""


class ArtifactError(PemError):
    """A model file that is missing, damaged or not exported by pem-edge."""


class ManifestError(ArtifactError):
    """A manifest that is missing, newer than this version, or does not match its model."""


class BackendError(PemError):
    """A backend that is not installed or cannot run the artifact."""


class BrokenBackend(BackendError):  # noqa: N818  # its name says what is wrong
    """A backend that is installed, but cannot be imported."""


class VerificationError(PemError):
    """A model that computes something else than its ONNX model, or cannot be compared with it."""


class CheckpointError(PemError):
    """Trained weights that cannot be read or do not fit the model."""


class ExportError(PemError):
    """An export that is not possible, or whose result fails the parity check."""


class CalibrationError(PemError):
    """A calibration that is not possible, or statistics of another model."""


class TrainingError(PemError):
    """A training that is not possible, or that diverged."""


class OutputError(PemError):
    """A result that cannot be written."""
