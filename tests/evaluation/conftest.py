"""Fixtures of the report's page."""

from .browsing import browsed, open_page  # noqa: F401 (fixtures)
