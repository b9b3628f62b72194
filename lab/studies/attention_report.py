"""What a comparison of attention says in words and numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.data.prompts import Prompt
from lab.models.loading import Base
from lab.studies import opening
from lab.studies.attention_changes import Changes
from lab.studies.attention_intervals import over_prompts
from lab.studies.attention_tables import heads, layers

LIMITS = [
    "An attention weight is not importance: a head may attend elsewhere and pass on the same, or the same and pass on other "
    "values. `output_change` says more, ablation or patching would say most.",
    "More than random directions is not yet something learned: training moves attention along directions of its own even on "
    "data with nothing to learn. The control for that is a placebo, trained alike on the base's own data. Where its update "
    "is the smaller one, compare the multiples of the null and not the nats.",
    "Divergence is never negative, so an interval over prompts that excludes 0 shows no effect. Whether a change is more "
    "than any update of this size makes is said only by the null (random directions, same singular values) and the placebo.",
    "The null keeps each module's singular values and not how modules work together.",
    "Single statistics (entropy, first token, …) are held against random directions head by head: a twentieth of all heads "
    "is marked by chance.",
    "That no head was called does not show that none changed in a way that matters.",
    "Inherited change is not nothing: a head may do other work because its input says other things.",
]
ONE_SEED = ["One training seed: another one may change other heads. Give runs of several seeds to one comparison to see."]
NOT_ROUTED = ("This model does not route through Transformers' attention interface: its weights were taken layer by layer "
              "from its own eager attention.")
SEVERAL = ["Verdicts on heads are about the first run; compare another one alone for its statistics, maps and page.",
           "Of several ranks all have the same alpha: an update is scaled by alpha / r, so a larger rank is no larger step."]
_SHORT = ("divergence (nats)", "95 % interval", "null mean (nats)", "ratio to the null", "adjusted p", "changed",
          "direct (nats)", "direct of the null (nats)", "inherited (nats)", "inherited of the null (nats)",
          "output_change (relative L2)", "output_change of the null (relative L2)")
_OF_LAYERS = ("layer", "divergence (nats)", "divergence 95 % interval", "divergence of the null (nats)", "direct (nats)",
              "direct of the null (nats)", "inherited (nats)", "inherited of the null (nats)",
              "output_change (relative L2)", "output_change of the null (relative L2)", "heads changed")


def limits(adapters: int, seeds: int) -> list[str]:
    """Returns what may not be concluded from a comparison of so many adapters, so many of them alike but for the seed."""
    return LIMITS + (ONE_SEED if seeds < 2 else []) + (SEVERAL if adapters > 1 else [])


def facts(base: Base, read: Sequence[Prompt]) -> dict[str, Any]:
    """Returns what a run records of the model and the prompts it was read on."""
    lengths = [len(prompt.input_ids) for prompt in read]
    return {**opening.facts(base), "prompts.count": len(read), "prompts.tokens": sum(lengths),
            "prompts.longest": max(lengths), "prompts.categories": ", ".join(dict.fromkeys(p.category for p in read))}


def summary(found: Changes, control: Changes | None = None) -> dict[str, float]:
    """Returns the metrics of a comparison, of its first adapter."""
    values = {"attention/divergence_mean_nats": _mean(found.values["divergence"]),
              "attention/divergence_max_nats": float(np.nanmax(found.divergence))}
    values |= {f"attention/{name}_mean_nats": _mean(found.values[name]) for name in ("direct", "inherited")
               if name in found.values}
    if found.test is not None:
        values |= {"attention/null_divergence_mean_nats": _mean(found.null["divergence"]),
                   "attention/heads_changed_share": float(found.test.changed[found.layers].mean()),
                   "attention/any_head_changed_p": found.test.global_p,
                   "attention/ratio_to_null_median": float(np.nanmedian(found.test.ratio))}
    if control is not None:
        values["attention/placebo_divergence_mean_nats"] = _mean(control.values["divergence"])
    return values


def summary_row(found: Changes) -> dict[str, Any]:
    """Returns one adapter's row among several."""
    mean, low, high = over_prompts(np.nanmean(found.values["divergence"], axis=(1, 2)))
    row: dict[str, Any] = {"adapter": found.trained.label, "run": found.trained.capsule.run_id,
                           "divergence (nats)": float(mean), "95 % interval": f"{low:.3g} to {high:.3g}",
                           **{f"{name} (nats)": _mean(found.values[name]) for name in ("direct", "inherited")}}
    if found.test is not None:
        row |= {"null mean (nats)": _mean(found.null["divergence"]), "heads changed": int(found.test.changed.sum()),
                "heads": int(np.isfinite(found.test.ratio).sum()), "any head: p": found.test.global_p}
    return row


def head_rows(found: Changes) -> list[dict[str, Any]]:
    """Returns the heads as the report shows them, strongest first."""
    return [{"head": f"{row['layer']}.{row['head']}", **{name: row[name] for name in _SHORT if name in row}}
            for row in heads(found)]


def layer_rows(found: Changes) -> list[dict[str, Any]]:
    """Returns the layers as the report shows them."""
    return [{name: row[name] for name in _OF_LAYERS if name in row} for row in layers(found)]


def in_words(found: Changes, *, several: bool) -> str:
    """Returns what was found about one adapter, in sentences."""
    mean, low, high = over_prompts(np.nanmean(found.values["divergence"], axis=(1, 2)))
    about = f"**{found.trained.label}** (run `{found.trained.capsule.run_id}`): " if several else ""
    if found.trained.diverged is not None:
        about += (f"**This training diverged at step {found.trained.diverged}**; what follows is about the weights "
                  f"that it kept, of step {found.trained.capsule.manifest.get('step')}. ")
    text = (f"{about}Attention diverges by {mean:.3g} nats per head (95 % interval over prompts {low:.3g} to {high:.3g}; at "
            f"most ln 2 = 0.693).")
    test = found.test
    if test is None:
        return text + " There is no null: whole models have no singular values of an update to keep."
    count, changed, less = int(np.isfinite(test.ratio).sum()), int(test.changed.sum()), int(test.less_changed.sum())
    draws = len(test.null_maxima)
    return text + (
        f" {draws} random adapters of the same singular values make {_mean(found.null['divergence']):.3g}. Beyond them "
        f"{'are' if changed != 1 else 'is'} {changed} of {count} heads (smallest p {test.global_p:.3g}, for all heads "
        f"together, where {draws} draws allow no less than {1 / (draws + 1):.3g}; if the adapter were one of the random "
        f"ones, any head would be called in {test.level:.1%} of such runs), and {less} changed less than they. Of the "
        f"change, {_share(found.values):.0%} is direct, made by the layer's own weights (of random adapters' "
        f"{_share(found.null):.0%}); the rest is inherited from what the layers below hand up (the two need not add up to "
        "the whole).")


def _share(values: Mapping[str, np.ndarray]) -> float:
    direct, inherited = _mean(values["direct"]), _mean(values["inherited"])
    return direct / (direct + inherited) if direct + inherited > 0 else 0.0


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values))
