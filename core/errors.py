"""What went wrong through no fault of the program."""


class UserError(ValueError):
    """One sentence that names the file, the record and the fix. A command line prints it and exits with 2."""
