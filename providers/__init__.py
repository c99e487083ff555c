"""Wire knowledge: pure functions and tables. No socket, no judgement, nothing of the gateway."""
