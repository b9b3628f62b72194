"""What a lens reads at every layer and token of one prompt: the token it would say, and how sure it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lab.figures.arrays import as_floats
from lab.figures.attention_tokens import FONT, token_label
from lab.figures.heat import SEQUENTIAL
from lab.figures.layout import grid
from lab.figures.residual_lines import depth_names
from lab.figures.theme import color

MOST = 24  # tokens that are shown
_CHARACTERS = 8


def lens_positions(share: Any, said: Sequence[Sequence[str]], tokens: Sequence[str], *, answer: str = "",
                   title: str = "", names: Sequence[str] | None = None, most: int = MOST, first: int = 0) -> Figure:
    """A figure of a cell a layer and token, with the token that the lens puts first, coloured by the share it gives it.

    The last layer is on top, as in a stack. Cells that say the answer have a frame. Of long prompts the last tokens are
    shown.

    Args:
        share: (L, T), share of the first token of the lens.
        said: L rows of T texts, those tokens.
        tokens: T texts of the prompt.
        answer: Text of the answer's first token.
        title: Above the map.
        names: Of the layers; 0 to L - 1 for None.
        most: Tokens that are shown.
        first: Tokens of the prompt that stand before `tokens`.
    """
    values = as_floats(share)[:, -most:]
    texts = [list(row)[-most:] for row in said]
    shown = list(tokens)[-most:]
    places, count = values.shape
    figure, axes = grid(1, 1, width=max(6.0, 1.6 + 0.62 * count), height=max(3.2, 1.7 + 0.27 * places))
    ax = axes[0, 0]
    image = ax.imshow(np.ma.masked_invalid(values), cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto", origin="lower")
    ax.grid(False)
    for (place, at), value in np.ndenumerate(values):
        text = texts[place][at]
        ax.text(at, place, token_label(text, longest=_CHARACTERS), ha="center", va="center", fontsize=7, fontfamily=FONT,
                color="black" if value > 0.55 else "white", parse_math=False)
        if answer and text == answer:
            ax.add_patch(Rectangle((at - 0.47, place - 0.45), 0.94, 0.9, fill=False, edgecolor=color(1), linewidth=1.8))
    ax.set_yticks(range(places), list(names) if names else depth_names(places))
    ax.set_xticks(range(count), [token_label(token, longest=10) for token in shown], rotation=90, fontsize=7.5,
                  fontfamily=FONT, parse_math=False)
    left_out = first + len(tokens) - count
    ax.set(xlabel="token read" + (f" (the first {left_out} are left out)" if left_out else ""), ylabel="after layer")
    frame = f"; framed: the answer {token_label(answer)!r}" if answer else ""
    ax.set_title(f"{title}{frame}", loc="left", parse_math=False)
    figure.colorbar(image, ax=ax, label="share the lens gives to the\ntoken it puts first (written)", pad=0.01)
    return figure
