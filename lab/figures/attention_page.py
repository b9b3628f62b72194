"""An interactive page of attention maps: one HTML file that needs nothing else and fits a budget of bytes."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from lab.errors import OptionError
from lab.figures.arrays import as_floats

BUDGET = 5_000_000  # bytes
_SINK = 0.005  # of the weight missing from a row: more than any rounding of half precision


@dataclass(frozen=True)
class Text:
    """One text and the attention of the chosen heads over it.

    Attributes:
        name: Of the text, for the list to choose from.
        tokens: T texts, decoded.
        base: (N, T, T) weights of N heads; what lies above the diagonal is not read.
        tuned: (N, T, T), or None for one model alone.
        facts: Name with its unit -> (N,) numbers shown beside the heads, such as their divergence on this text.
    """

    name: str
    tokens: Sequence[str]
    base: Any
    tuned: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def page(texts: Sequence[Text], heads: Sequence[tuple[int, int]], *, title: str = "Attention", base_name: str = "base",
         tuned_name: str = "tuned", budget: int = BUDGET) -> str:
    """The page as HTML, with as many of the heads, from the first on, as the budget holds; it says how many.

    Args:
        texts: With the same heads each.
        heads: N pairs of layer and head, the most interesting first.
        title: Of the page.
        base_name: What the first model is called.
        tuned_name: What the second one is called.
        budget: Bytes.

    Raises:
        OptionError: There is no text or head, shapes do not fit, some texts have a tuned model and others none, or not
            one head fits the budget.
    """
    _check(texts, heads)
    paired = texts[0].tuned is not None
    lengths, rest = [len(text.tokens) for text in texts], _rest(texts, heads)
    kept = heads_that_fit(lengths, len(heads), paired=paired, budget=budget - rest)
    if not kept:
        needed = bytes_of_maps(lengths, 1, paired=paired) + rest
        raise OptionError(f"a page of one head over {' and '.join(map(str, lengths))} tokens takes {needed:,} bytes, and "
                          f"its budget is {budget:,}; give fewer tokens or texts, or budget={needed}.")
    packed = [_pack(text, kept) for text in texts]
    note = "" if kept == len(heads) else (f"{kept} of {len(heads)} chosen heads are on this page, which is kept under "
                                          f"{budget / 1e6:.3g} MB.")
    data = {"heads": [[int(layer), int(head)] for layer, head in heads[:kept]], "paired": paired, "prompts": packed,
            "names": [base_name, tuned_name], "note": note, "sink": any(_has_sink(text) for text in texts)}
    filling = {"{{title}}": html.escape(title), "{{data}}": _inert(data)}
    made = re.sub("{{title}}|{{data}}", lambda found: filling[found[0]], _template())  # at once: a title may say {{data}}
    assert len(made.encode()) <= budget, (len(made.encode()), budget)
    return made


def bytes_of_maps(tokens: Sequence[int], heads: int, *, paired: bool) -> int:
    """Bytes that so many heads take on a page over texts of so many tokens: lower triangles, one byte a weight, base64.

    Args:
        tokens: Number of tokens of every text.
        heads: Number of heads.
        paired: Whether there are two models.
    """
    one = sum(4 * -(-count * (count + 1) // 2 // 3) + 4 + 6 * count + 200 for count in tokens)
    return heads * (1 + paired) * one


def heads_that_fit(tokens: Sequence[int], heads: int, *, paired: bool, budget: int = BUDGET) -> int:
    """How many of the heads fit a budget of bytes for the maps; 0 if not even one."""
    return max(0, min(heads, budget // bytes_of_maps(tokens, 1, paired=paired)))


def _check(texts: Sequence[Text], heads: Sequence[tuple[int, int]]) -> None:
    if not texts or not heads:
        raise OptionError(f"a page of {len(texts)} texts and {len(heads)} heads shows nothing; give at least one of each.")
    if len({text.tuned is None for text in texts}) > 1:
        raise OptionError("some texts come with a tuned model and some without; give it for all of them or for none.")
    for text in texts:
        wanted = (len(heads), len(text.tokens), len(text.tokens))
        for name, maps in (("base", text.base), ("tuned", text.tuned)):
            if maps is not None and tuple(maps.shape) != wanted:
                raise OptionError(f"text {text.name!r}: {name} has shape {tuple(maps.shape)}; {len(heads)} heads over "
                                  f"{len(text.tokens)} tokens need {wanted}.")


def _pack(text: Text, kept: int) -> dict[str, Any]:
    heads = []
    for index in range(kept):
        base = _lower(text.base[index])
        tuned = None if text.tuned is None else _lower(text.tuned[index])
        facts = [[name, f"{float(as_floats(values)[index]):.4g}"] for name, values in text.facts.items()]
        heads.append({**_pack_head(base, tuned), "facts": facts,
                      "sums": [_row_sums(weights) for weights in (base, tuned) if weights is not None]})
    return {"name": text.name, "tokens": list(text.tokens), "heads": heads}


def _pack_head(base: np.ndarray, tuned: np.ndarray | None) -> dict[str, Any]:
    codes, top = encode_weights(base)
    restored = decode_weights(codes, top)
    head: dict[str, Any] = {"base": _text(codes), "top": top, "error": [float(np.abs(restored - base).max())]}
    if tuned is not None:
        change = tuned - base
        signed, most = encode_change(change)
        moved = decode_change(signed, most)
        both = max(head["error"][0], float(np.abs(np.maximum(0, restored + moved) - tuned).max()))
        head |= {"change": _text(signed), "most": most, "error": [both, float(np.abs(moved - change).max())]}
    return head


def encode_weights(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights as bytes of their square roots, and the largest weight, which is 255.

    Even steps would make nothing of even attention over 512 keys (1/512 is half a step); roots keep it within 5 %.
    """
    top = float(weights.max(initial=0.0))
    return np.rint(255 * np.sqrt(np.clip(weights, 0, None) / (top or 1.0))).astype(np.uint8), top


def decode_weights(codes: np.ndarray, top: float) -> np.ndarray:
    """The weights that the page shows for these bytes."""
    return (codes / 255.0) ** 2 * top


def encode_change(change: np.ndarray) -> tuple[np.ndarray, float]:
    """Changes as bytes of their signed square roots about 128, and the largest size, which is 127 away.

    Stored by itself, a small change is as exact as a large one: the difference of two rounded weights would be rounding.
    """
    most = float(np.abs(change).max(initial=0.0))
    return (128 + np.rint(127 * np.sign(change) * np.sqrt(np.abs(change) / (most or 1.0)))).astype(np.uint8), most


def decode_change(codes: np.ndarray, most: float) -> np.ndarray:
    """The changes that the page shows for these bytes."""
    share = (codes.astype(np.float64) - 128) / 127
    return share * np.abs(share) * most


def _lower(weights: Any) -> np.ndarray:
    """(T (T+1) / 2,) the weights up to the diagonal, row by row."""
    weights = as_floats(weights)
    return np.nan_to_num(weights[np.tril_indices(len(weights))])


def _row_sums(lower: np.ndarray) -> list[int]:
    """(T,) what every query's weights sum to before rounding, in 65535ths."""
    count = int(np.sqrt(2 * len(lower)))
    starts = np.arange(count) * (np.arange(count) + 1) // 2
    return np.rint(65535 * np.clip(np.add.reduceat(lower, starts), 0, 1)).astype(int).tolist()


def _has_sink(text: Text) -> bool:
    return any(as_floats(maps).sum(-1).min() < 1 - _SINK for maps in (text.base, text.tuned) if maps is not None)


def _text(codes: np.ndarray) -> str:
    return b64encode(codes.tobytes()).decode("ascii")


def _rest(texts: Sequence[Text], heads: Sequence[tuple[int, int]]) -> int:
    """Bytes of the page without its maps."""
    facts = [[text.name, list(text.tokens), [[name, "0.000e-000"] * len(heads) for name in text.facts]] for text in texts]
    return len(_template().encode()) + len(_inert(facts)) + 40 * len(heads) * len(texts) + 2000


def _inert(data: Any) -> str:
    """JSON that no HTML parser takes for a tag or a comment, whatever the tokens say."""
    plain = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _template() -> str:
    return files("lab.figures").joinpath("attention_page.html").read_text(encoding="utf-8")
