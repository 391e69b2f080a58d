"""Wrong shapes for the places of a payload: what a parser must survive under a good signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st


def shapes(words: Sequence[str]) -> st.SearchStrategy[Any]:
    """Anything JSON can hold, with `words` for names and values often."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text()
        | st.sampled_from([*words, "31612340001", "6712345678901234", "react", "https://[x"]),
        lambda each: st.lists(each, max_size=3)
        | st.dictionaries(st.sampled_from(words) | st.text(max_size=5), each, max_size=4),
        max_leaves=8,
    )  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])
