"""The error of a user's input: a file, a flag or a record that is wrong."""


class UserError(ValueError):
    """One sentence that names the file, the record and the fix. A command line prints it and exits with 2."""
