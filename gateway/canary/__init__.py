"""The controls, proved by trial: constant texts through the running gateway's own path, to a witness that looks."""
