"""The three services, and the command that runs them. None of them imports another."""
