"""The first layer at which something holds: the answer wins in the lens, or a probe reads it; of arrays, over prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.errors import OptionError


@dataclass(frozen=True)
class Summary:
    """First layers of a group of prompts.

    Attributes:
        count: Prompts.
        never: Share of them for which it holds at no layer; they have no first layer, and no mean counts them as if.
        median: Layer by which it holds for half of all prompts, those counted for which it never does; nan where fewer do.
        quartiles: Layers for a quarter and for three quarters of all, nan likewise.
        reached: [L], share of all prompts whose first layer is this one or an earlier one.
    """

    count: int
    never: float
    median: float
    quartiles: tuple[float, float]
    reached: np.ndarray


def first(holds: np.ndarray) -> np.ndarray:
    """Returns the first layer at which it holds [N], nan for never, even if it does not last.

    Args:
        holds: [N, L] of bool.
    """
    return np.where(holds.any(1), holds.argmax(1), np.nan)


def lasting(holds: np.ndarray) -> np.ndarray:
    """Returns the first layer from which on it holds to the last one [N], nan where it does not hold at the last.

    Args:
        holds: [N, L] of bool.
    """
    layers = holds.shape[1]
    broken = (~holds)[:, ::-1]
    since = np.where(broken.any(1), layers - broken.argmax(1), 0)
    return np.where(holds[:, -1], since, np.nan)


def answers_win(difference: np.ndarray, rank: np.ndarray) -> dict[str, np.ndarray]:
    """Returns first layers [N] by definition, nan for never.

    Where a layer knows nothing, half of all prompts have the answer ahead of the foil by luck, and neighbouring layers,
    being alike, are lucky together: `lasting` and `first` begin too early. Read them beside the share of prompts that are
    ahead at each layer, of which 1/2 is chance (`reaching` has a threshold for it), and beside `top`, which luck hardly
    reaches.

    Args:
        difference: [N, L], logit difference of answer and foil in the lens, nats.
        rank: [N, L], of the answer among all tokens, 1 for the first.

    Returns:
        `lasting`: from there on the answer is ahead of the foil; `first`: there it is for the first time; `top`: from there
        on it is ahead of all tokens; `first_top`: there it is for the first time.
    """
    wins, leads = difference > 0, rank == 1
    return {"lasting": lasting(wins), "first": first(wins), "top": lasting(leads), "first_top": first(leads)}


def summarise(layers: np.ndarray, count: int) -> Summary:
    """Returns what first layers [N] are like, with those that never come as such.

    Args:
        layers: [N], nan for never.
        count: L.

    Raises:
        OptionError: There are no prompts.
    """
    if not len(layers):
        raise OptionError("there is no prompt, so no first layer; a group needs one at least")
    late = np.where(np.isnan(layers), np.inf, layers)
    lower, middle, upper = (_finite(np.quantile(late, share, method="inverted_cdf")) for share in (0.25, 0.5, 0.75))
    reached = (late[:, None] <= np.arange(count)).mean(0)
    return Summary(len(layers), float(np.isinf(late).mean()), middle, (lower, upper), reached)


def by_category(layers: np.ndarray, categories: Sequence[str], count: int) -> dict[str, Summary]:
    """Returns a summary of each category, in order of first appearance.

    Args:
        layers: [N], nan for never.
        categories: [N], of each prompt.
        count: L.
    """
    named = np.asarray(categories)
    return {name: summarise(layers[named == name], count) for name in dict.fromkeys(categories)}


def chosen(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns where the right candidate has the highest score, [N, L] of bool; a tie is no choice.

    For a probe and for the lens alike, so that both choose among the same candidates.

    Args:
        scores: [N, L, C], of each candidate; probabilities of a probe, or logits of candidates' first tokens.
        truth: [N], index of the right one.
    """
    right = np.take_along_axis(scores, truth[:, None, None], 2)
    return (scores >= right).sum(2) == 1


def reaching(correct: np.ndarray, threshold: float) -> float:
    """Returns the first layer from which on accuracy is at or above a threshold up to the last layer, L for none.

    L rather than nan, so that differences stay finite: "later than the last layer" is the least that can be said.

    Args:
        correct: [N, L] of bool.
        threshold: Share of prompts.
    """
    found = lasting((correct.mean(0) >= threshold)[None])[0]
    return float(correct.shape[1] if np.isnan(found) else found)


def lead(probe: np.ndarray, lens: np.ndarray, threshold: float, items: np.ndarray | None = None) -> float:
    """Returns by how many layers a probe reads the answer before it wins in the lens; above 0 where the probe is first.

    Both choose among the same candidates, of the same prompts, and are held to the same threshold.

    Args:
        probe: [N, L] of bool, from `chosen`; of prompts that the probe was not fitted on.
        lens: [N, L] of bool, of the same prompts.
        threshold: Share of prompts that must be right, of both.
        items: [M], indices of a bootstrap sample; None for all. `over_items(lambda items: lead(…, items), N)` gives the
            interval.

    Raises:
        OptionError: The two are not of the same prompts and layers, or the threshold is no share.
    """
    if probe.shape != lens.shape or not probe.size:
        raise OptionError(f"a probe of {probe.shape} and a lens of {lens.shape}: both have to be [prompts, layers], alike")
    if not 0 < threshold <= 1:
        raise OptionError(f"threshold={threshold}: allowed is a share above 0 and up to 1")
    taken = np.arange(len(probe)) if items is None else items
    return reaching(lens[taken], threshold) - reaching(probe[taken], threshold)


def prompt_leads(probe: np.ndarray, lens: np.ndarray) -> np.ndarray:
    """Returns the same of each prompt [N]: first lasting layer in the lens minus that in the probe, L standing for never.

    A prompt that neither gets right counts 0. A probe that is right by luck at early layers is ahead here; read it beside
    `lead`, which accuracy over all prompts decides, and beside the probe on shuffled labels.

    Args:
        probe: [N, L] of bool.
        lens: [N, L] of bool.
    """
    layers = probe.shape[1]
    mine, theirs = (np.nan_to_num(lasting(each), nan=layers) for each in (probe, lens))
    return theirs - mine


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else float("nan")
