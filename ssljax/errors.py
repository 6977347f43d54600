"""The one exception that stands for a mistake in the user's input."""


class UserError(Exception):
    """A mistake in the user's input, told in one sentence.

    The message says what is wrong, where, and what to do about it. The command line prints it alone
    and exits with status 2; a program that imports ssljax catches it like any other exception.
    """
