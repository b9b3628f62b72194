"""Which of many patches do more than the same patches of unrelated prompts, at one error for all together."""

import numpy as np

RELABELLINGS = 2000  # what was observed among them


def beyond_unrelated(effect: np.ndarray, null: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Returns adjusted p [C], one-sided, of patches that do no more than those of unrelated prompts.

    If a patch carries nothing of its own prompt, it is exchangeable with those of unrelated ones. So in every prompt any of
    the N + 1 takes its place, and the standardised maximum over all cells is held against that of what was observed
    (single-step max-T, Westfall and Young, 1993, section 2.5). The error of calling any cell holds when none carries.

    Args:
        effect: [P, C], nan where a prompt has no such cell.
        null: [P, N, C].
        seed: Of the relabellings.
    """
    pool = np.concatenate([effect[:, None], null], 1)  # prompts × (1 + draws) × cells
    defined = np.isfinite(pool)
    count = defined.sum(1, keepdims=True)
    mean = np.where(defined, pool, 0).sum(1, keepdims=True) / np.maximum(count, 1)
    apart = np.where(defined & (count > 1), pool - mean, 0)  # how far each lies from all of its prompt
    rng = np.random.default_rng(seed)
    available = defined.any(2)  # a prompt may have fewer unrelated ones
    taken = (rng.random((RELABELLINGS, *available.shape)) * available).argmax(2)  # relabellings × prompts
    taken[0] = 0  # what was observed is one of them
    drawn = sum((taken == n).astype(float) @ apart[:, n] for n in range(pool.shape[1]))  # relabellings × cells
    spread = drawn.std(0)
    told = spread > 1e-9 * np.abs(pool[defined]).max(initial=1e-300)
    scaled = np.where(told, drawn / np.where(told, spread, 1), -np.inf)
    reached = (scaled.max(1)[:, None] >= scaled[0] - 1e-12).mean(0)
    return np.where(told, reached, 1.0)
