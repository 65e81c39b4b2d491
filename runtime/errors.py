"""Every error a user can cause.

PemError
├── InputError          a picture, folder or video that cannot be used
├── ArtifactError       a model file that is missing, damaged or not ours
│   └── ManifestError   its manifest is missing, newer than this version, or does not match
├── BackendError        the backend is not installed or cannot run the artifact
├── CheckpointError     trained weights that cannot be read or do not fit
├── ExportError         the export cannot be done as asked, or the result fails its parity gate
├── CalibrationError    the calibration cannot be done as asked, or its statistics are not this model's
├── TrainingError       the training cannot be done as asked, or has come to nothing
└── OutputError         a result that cannot be written

Each message is one line: what came, what was expected, the cure.
"""


class PemError(Exception):
    """Base of all errors that are the input's doing, not ours."""


class InputError(PemError):
    """A picture, folder or video that cannot be used."""


class ArtifactError(PemError):
    """A model file that is missing, damaged or not one of ours."""


class ManifestError(ArtifactError):
    """A manifest that is missing, newer than this version, or does not match its model."""


class BackendError(PemError):
    """A backend that is not installed or cannot run the artifact."""


class CheckpointError(PemError):
    """Trained weights that cannot be read or do not fit the model."""


class ExportError(PemError):
    """An export that cannot be done as asked, or whose result fails its parity gate."""


class CalibrationError(PemError):
    """A calibration that cannot be done as asked, or statistics that are not this model's."""


class TrainingError(PemError):
    """A training that cannot be done as asked, or that has come to nothing."""


class OutputError(PemError):
    """A result that cannot be written."""
