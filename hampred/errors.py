"""The mistakes that a user can mend, told in one line."""


class HampredError(Exception):
    """Bad input: says what is wrong and what to do, in one line.

    The command line prints the message without a traceback and exits with code 2.
    """


class FailedError(Exception):
    """The input was good but the work did not succeed; the command line exits with code 1."""
