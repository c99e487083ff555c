"""Benchmarks: each figure of the gateway beside the same load sent direct and through a bare pass-through."""
