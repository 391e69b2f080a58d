"""A policy tried before it rules: on its own examples, and on what really happened."""
