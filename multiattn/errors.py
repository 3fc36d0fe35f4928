"""The exception for mistakes of the user; any other exception is a bug."""


class UserError(Exception):
    """A mistake in the user's input. The message says what was expected, what came, what to do.

    The command line prints the message and exits with code 2; ``--debug`` shows the traceback.
    """
