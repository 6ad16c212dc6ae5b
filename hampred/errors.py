"""The mistakes that a user can mend, told in one line."""


class HampredError(Exception):
    """Bad input: says what is wrong and what to do, in one line.

    The command line prints the message without a traceback and exits with code 2.
    """


class UnknownNameError(HampredError, KeyError, AttributeError):
    """A name that is not there; ``in``, ``get`` and ``hasattr`` take it as Python's own errors."""

    __str__ = Exception.__str__  # that of KeyError puts quotes around the message


class FailedError(Exception):
    """The input was good but the work did not succeed; the command line exits with code 1."""
