"""Several processes that serve one port of one host, and their parent, which makes the record."""
