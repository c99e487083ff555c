"""Tests of the enforcement."""
