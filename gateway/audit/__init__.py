"""What happened, and can it be proved? Records that cannot hold content."""
