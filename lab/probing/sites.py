"""Names of the places in a layer at which activations are read, and what their values must add up to."""

from collections.abc import Sequence

from lab.errors import OptionError

PRE_ATTN, DELTA_ATTN, POST_ATTN, DELTA_FFN, POST_FFN = "pre_attn", "delta_attn", "post_attn", "delta_ffn", "post_ffn"
SITES = (PRE_ATTN, DELTA_ATTN, POST_ATTN, DELTA_FFN, POST_FFN)
ATTN_OUT, FFN_OUT = "attn_out", "ffn_out"
RAW = (ATTN_OUT, FFN_OUT)  # what the modules return, before norms and multipliers that what is added goes through


def check_sites(sites: Sequence[str]) -> tuple[str, ...]:
    """Returns the sites asked for, each of which there is.

    Args:
        sites: Names of `SITES`, which are [.., D] and add up (post_attn = pre_attn + delta_attn, post_ffn = post_attn +
            delta_ffn), and of `RAW`.

    Raises:
        OptionError: There is none, one is unknown or one is named twice.
    """
    known = (*SITES, *RAW)
    unknown = [site for site in sites if site not in known]
    if unknown or not sites or len(set(sites)) < len(sites):
        problem = f"unknown {', '.join(unknown)}" if unknown else "none is named" if not sites else "one is named twice"
        raise OptionError(f"sites={','.join(sites)}: {problem}; allowed are {', '.join(known)}, each once")
    return tuple(sites)


def check_layers(layers: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Returns the layers asked for, all of them for None.

    Args:
        layers: Indices from 0.
        count: Layers that the model has.

    Raises:
        OptionError: The model has no such layer, or one is named twice.
    """
    if layers is None:
        return tuple(range(count))
    outside = [layer for layer in layers if not 0 <= layer < count]
    if outside or not layers or len(set(layers)) < len(layers):
        problem = f"there is no layer {outside[0]}" if outside else "none is named" if not layers else "one is named twice"
        raise OptionError(f"layers={','.join(map(str, layers))}: {problem}; this model has layers 0 to {count - 1}, each is "
                          "named at most once")
    return tuple(layers)
