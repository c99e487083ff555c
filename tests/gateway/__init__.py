"""Tests of the enforcement half."""
