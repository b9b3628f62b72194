"""The errors a user can meet. Each says what came, what is allowed and what to type instead."""


class LabError(Exception):
    """Base of every error the lab raises on purpose; entry points print its message without a traceback."""


class OptionError(LabError, ValueError):
    """A parameter has an unknown name or a value outside what is allowed."""


class DataError(LabError, ValueError):
    """A dataset is missing, malformed, or would train nothing."""


class RunNotFound(LabError, LookupError):
    """No run in the searched store has this id."""


class AmbiguousRun(LabError, LookupError):
    """Several runs share this id prefix."""


class NoAdapter(LabError, LookupError):
    """The run exists and holds no adapter or model of its own."""


class CapsuleChanged(LabError, ValueError):
    """A file of a kept adapter is missing, added, or differs from what training wrote."""


class BaseMismatch(LabError, ValueError):
    """The base model at hand is not the one the adapter was trained on."""


class ModelNotFound(LabError, LookupError):
    """A model reference leads nowhere."""


class ModelUnsupported(LabError, ValueError):
    """The model cannot be used in the way that was asked."""


class DependencyMissing(LabError, ImportError):
    """An optional package is needed and not installed."""


class DeviceUnavailable(LabError, RuntimeError):
    """The device or number format asked for does not exist here."""


class TrackingError(LabError, RuntimeError):
    """The tracking store could not take or give a record."""
