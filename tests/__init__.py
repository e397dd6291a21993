"""A package, so that tests can share `tests.waiting` and `tests.services`."""
