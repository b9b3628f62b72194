"""Tokens as labels of axes: short, with spaces and line breaks seen, and without what the font cannot draw."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.font_manager import findfont, get_font

FONT = "DejaVu Sans Mono"  # comes with matplotlib
_SEEN = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥", "\r": "\\r"})


def token_label(token: str, *, longest: int = 12) -> str:
    """A token as a label of at most so many characters; those the font lacks as `U+4E2D`, cut ones as `…`."""
    text = "".join(c if _drawable(c) else f"U+{ord(c):04X}" for c in token.translate(_SEEN)) or "∅"
    return text if len(text) <= longest else text[:longest - 1] + "…"


@lru_cache(maxsize=4096)
def _drawable(character: str) -> bool:
    return character.isprintable() and get_font(findfont(FONT)).get_char_index(ord(character)) != 0


def token_axes(ax: Axes, tokens: Sequence[str], *, most: int = 28) -> None:
    """Names the queries down and the keys across; of more than `most`, every n-th with its position."""
    every = -(-len(tokens) // most)
    places = list(range(0, len(tokens), every))
    names = [token_label(tokens[place]) for place in places]
    if every > 1:
        names = [f"{name} {place}" for name, place in zip(names, places, strict=True)]
    size = 9 if len(places) <= 12 else 7.5 if len(places) <= 24 else 6
    # a token may hold dollar signs, which would start a formula
    look: dict[str, Any] = {"fontsize": size, "fontfamily": FONT, "parse_math": False}
    ax.set_yticks(places, names, **look)
    ax.set_xticks(places, names, rotation=90, **look)
    ax.set(xlabel=_axis("key: token looked at", every), ylabel=_axis("query: token that looks", every))


def _axis(words: str, every: int) -> str:
    if every == 1:
        return words
    return f"{words} (every {({2: '2nd', 3: '3rd'}).get(every, f'{every}th')} is named)"
