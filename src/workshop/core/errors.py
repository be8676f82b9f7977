"""The error of the kit, and the sentence for what the operating system refuses."""

from kit_common import errors
from kit_common.errors import UserError, describe_os_error


class WorkshopError(UserError):
    """A `UserError` of the kit: notebooks, Spark tasks and Databricks jobs are recognized by this name."""


class UsageError(WorkshopError, errors.UsageError):
    """A wrong argument or option; nothing was started."""


def explain_os_error(error: OSError) -> WorkshopError:
    """Return the error whose sentence contains what the operating system refused and what to do about it."""
    return WorkshopError(describe_os_error(error, "WORKSHOP_HOME"))
