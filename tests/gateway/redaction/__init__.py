"""Tests of `gateway.redaction`."""
