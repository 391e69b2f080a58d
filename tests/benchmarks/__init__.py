"""The figures of `make bench`, as ratios with their conditions."""
