"""The commands beside `serve`: most speak HTTP to a running Regie, as any other client would."""
