"""Tests of what leaves the process, with a receiver on the other side."""
