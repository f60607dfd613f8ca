"""The one exception that ends a sub-command; its text is for the user."""


class Failure(Exception):
    """Names what is missing or went wrong, and what to do about it."""
