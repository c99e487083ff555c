"""What several replicas share through Redis, and the only door of `redis`.

Redis is never the truth of anything: the journal is on the disk of its replica, and policy is in files. Each part here
says what holds while Redis is away, and none lets a call wait longer than `Replicas.wait_seconds` for it.
"""
