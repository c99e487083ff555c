"""The providers' own settings, read back on a schedule: what they say, what that comes to, and who is stopped by it."""
