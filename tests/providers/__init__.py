"""Tests of the wire knowledge."""
