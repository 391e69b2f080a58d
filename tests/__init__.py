"""Regie's tests: real servers, fakes instead of mocks, and no sleeping."""
