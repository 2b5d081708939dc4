"""The kdump acceptance suite's library: what the tests in ``tests/`` speak."""

from .cause import Severity, Stage, cause
from .fact import Maybe, derived, fact
from .verdict import CouldNotDetermine, NotApplicable

__all__ = ["CouldNotDetermine", "Maybe", "NotApplicable", "Severity", "Stage", "cause", "derived", "fact"]
__version__ = "0.1.0"
