"""The one exception that is a user's mistake; everything else that is raised is ours."""


class UserError(Exception):
    """A mistake in what the user gave: one sentence with what was expected, what came, what to do.

    The command line prints the sentence and exits with code 2; ``--debug`` shows the traceback.
    """
