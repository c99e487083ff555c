"""Enforcement: what may leave, what must be taken out first, and what is written down."""
