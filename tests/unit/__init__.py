"""One function or class each; no server, no network."""
