"""What can go wrong, as types.

    DaybookError                     anything we foresaw; the command line prints it without a traceback
    ├── ConfigError                  a setting, argument or installation is wrong; the reader must change something
    ├── VendorError                  a vendor's answer could not be used
    │   ├── Retryable                asking again later may help
    │   │   ├── RateLimited          too many requests; `retry_after_s` says how long to wait, if known
    │   │   ├── VendorUnavailable    no answer, a 5xx, a time-out, a reset connection
    │   │   └── IncompleteReply      the answer is cut, capped or not yet complete
    │   └── Fatal                    asking again will not help
    │       ├── BadCredentials       the token or key is wrong or missing
    │       ├── NotPermitted         the account may not call this
    │       ├── NotArchived          the vendor keeps no history of what was published when
    │       ├── RowCapReached        there is more than one answer holds; ask for less at a time
    │       └── UnexpectedReply      the answer is not what was asked for (other series, HTML, unknown columns)
    ├── ContractViolation            rows do not fit their table
    ├── ModelRefused                 a model cannot be fitted on, or applied to, what it was given
    ├── PartialData                  fewer rows than the day must have
    ├── ReportDiffers                a page says something else than the snapshot it names
    └── LakeError                    the lake cannot be used as it is
        ├── LakeBusy                 another writer holds it
        ├── NotInLake                a query names a table, view or column that is not there
        └── LakeTooNew               written by a newer Daybook

Every message has three parts: what happened, to which input, what to do next. No message ever carries a secret.
"""

from __future__ import annotations


class DaybookError(Exception):
    """Anything Daybook foresaw: it is shown as one line, without a traceback."""

    exit_code = 1


class ConfigError(DaybookError):
    """A setting, an argument or the installation is wrong."""

    exit_code = 10


class VendorError(DaybookError):
    """A vendor's answer could not be used."""

    exit_code = 12


class Retryable(VendorError):
    """Asking again later may help."""


class RateLimited(Retryable):
    """The vendor asks us to slow down.

    Args:
        message: what happened, to which request, what to do.
        retry_after_s: seconds to wait before the next request, None when the vendor did not say.
        allowed: calls allowed, and in how many seconds, None when the vendor did not say.
    """

    def __init__(
        self, message: str, retry_after_s: float | None = None, allowed: tuple[int, float] | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.allowed = allowed


class VendorUnavailable(Retryable):
    """No answer, a server error, a time-out or a reset connection."""


class IncompleteReply(Retryable):
    """The answer is cut, capped at the vendor's row limit, or not complete yet."""


class Fatal(VendorError):
    """Asking again will not help."""

    exit_code = 11


class BadCredentials(Fatal):
    """The token or key is wrong or missing."""


class NotPermitted(Fatal):
    """The account may not call this endpoint."""


class NotArchived(Fatal):
    """The vendor keeps no history of what it published when; what it publishes now can still be asked for."""


class RowCapReached(Fatal):
    """There are more rows than one answer holds: the same question would be cut again, smaller ones are not.

    Args:
        message: what happened, to which request, what to do.
        ts_codes: securities the cut answer named, so that none of them is forgotten.
    """

    def __init__(self, message: str, ts_codes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.ts_codes = ts_codes


class UnexpectedReply(Fatal):
    """The answer is not what was asked for."""


class ContractViolation(DaybookError):
    """Rows do not fit the table they are meant for."""

    exit_code = 13


class ModelRefused(DaybookError):
    """A model cannot be fitted on, or applied to, what it was given."""

    exit_code = 16


class PartialData(DaybookError):
    """A day has fewer rows than it must have."""

    exit_code = 14


class ReportDiffers(DaybookError):
    """A page's figures are not those of the snapshot it names."""

    exit_code = 17


class LakeError(DaybookError):
    """The lake cannot be used as it is."""

    exit_code = 15


class LakeBusy(LakeError):
    """Another writer holds the lake."""


class NotInLake(LakeError):
    """A query names a table, a view, a macro or a column that the lake, or this snapshot of it, does not have."""


class LakeTooNew(LakeError):
    """The lake was written by a newer Daybook."""
