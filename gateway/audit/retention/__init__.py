"""What is kept, and for how long: the rolling months, erasure on request, copies for whom they are about.

Deleting is itself a record: it names the leaves, and only then do rows, salts and keys go. What stays in the log of a
deleted record is a commitment that nobody can test against a guess any more, so every proof still holds.
"""
