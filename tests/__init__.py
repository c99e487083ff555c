"""Tests, which mirror the source."""
