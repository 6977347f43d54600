"""The exceptions that the command line tells in one sentence."""


class UserError(Exception):
    """A mistake in the user's input, told in one sentence.

    The message says what is wrong, where, and what to do about it. The command line prints it alone
    and exits with status 2; a program that imports ssljax catches it like any other exception.
    """


class MissingScores(Exception):
    """Some scores of a finished evaluation could not be computed; the others are written.

    The command line prints the message alone and exits with status 1.
    """
