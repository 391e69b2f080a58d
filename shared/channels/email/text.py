"""Plain text as mailers write it: which part to read, and soft line breaks undone."""

from __future__ import annotations


def choose(plain: str, rendered: str) -> str:
    """The readable text of a mail that comes in both forms; `rendered` is its HTML as text.

    A plain part that is empty or below a fifth of the other is a stub ("your program cannot
    show this message").
    """
    return rendered if len(plain.strip()) < 0.2 * len(rendered) else plain


def unflowed(text: str, delete_space: bool = False) -> str:
    """`format=flowed` (RFC 3676) undone: soft line breaks joined, one line a paragraph."""
    lines: list[str] = []
    depth, open_line = 0, False
    for line in text.split("\n"):
        bare = line.lstrip(">")
        quotes = len(line) - len(bare)
        content = bare.removeprefix(" ")
        if open_line and quotes == depth and content != "-- ":
            before = lines.pop()
            content = (before[:-1] if delete_space else before) + content
        elif quotes:
            content = ">" * quotes + " " + content
        lines.append(content)
        depth, open_line = quotes, content.endswith(" ") and content != "-- "
    return "\n".join(line.rstrip() if line != "-- " else line for line in lines)
