"""Where a tuned model changed its mind about the next token, as words, rows and metrics."""

from typing import Any

import numpy as np

from lab.evaluation import drift_readings as readings
from lab.evaluation.drift import Drift
from lab.evaluation.drift_readings import Reading
from lab.evaluation.intervals import Estimate
from lab.tracking.report import table

HEADING = "Where did it change its mind?"
SHOWN = 10


def section(drift: Drift, resolution: Drift | None, tokenizer: Any) -> tuple[str, str]:
    """Returns the heading and the Markdown of the report's section.

    Args:
        drift: Of the tuned model from its base.
        resolution: Of the base from itself, read in a padded batch, on the same documents: what rounding alone makes.
        tokenizer: Of both.
    """
    parts = [_in_words(drift, resolution)]
    if drift.good.any() and drift.kl.any():
        parts.append("By kind of text, where the base was good:")
        parts.append(table(kind_rows(drift, resolution)))
        shown = largest_rows(drift, tokenizer)
        parts.append(f"{len(shown)} largest changes there, at most two of one text"
                     + (". The text goes on as the base says:" if drift.bar >= 0.5 else ":"))
        parts.append(table(shown))
    return HEADING, "\n\n".join(parts)


def metrics(drift: Drift, resolution: Drift | None) -> dict[str, float]:
    """Returns the figures that runs are compared by, under their metric names; those that are undefined are left out."""
    good, every = readings.read(drift, drift.good), readings.read(drift, np.ones_like(drift.good))
    found = {"forgetting/drift_good_nats": good.kl.value, "forgetting/drift_all_nats": every.kl.value,
             "forgetting/drift_changed_share": good.changed.value,
             "forgetting/drift_good_share": good.positions / every.positions}
    if resolution is not None:
        found["forgetting/drift_rounding_nats"] = readings.read(resolution, drift.good).kl.value
    return {name: value for name, value in found.items() if np.isfinite(value)}


def kind_rows(drift: Drift, resolution: Drift | None = None) -> list[dict[str, Any]]:
    """Returns one row a kind of text, over positions at which the base was good, and one for all kinds."""
    kinds = readings.by_kind(drift)
    where = {kind: drift.good & (drift.kinds == kind) for kind in kinds} | {"all kinds": drift.good}
    rows = []
    for kind, one in (kinds | {"all kinds": readings.read(drift, drift.good)}).items():
        here = drift.kinds == kind if kind in kinds else np.ones_like(drift.good)
        rows.append({
            "kind": kind, "texts": len(np.unique(drift.document[here])), "tokens": int(here.sum()),
            "base was good (%)": 100 * one.positions / int(here.sum()), "KL (nats/token)": one.kl.value,
            "95 % over texts": _ends(one.kl), "rounding alone (nats/token)":
                None if resolution is None else float(readings.read(resolution, where[kind]).kl.value),
            "another first choice (%)": 100 * one.changed.value, "95 %": _ends(one.changed, 100),
            "base gives what follows": one.base_probability, "tuned gives it": one.tuned_probability})
    return [{name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
            for row in rows]


def largest_rows(drift: Drift, tokenizer: Any, count: int = SHOWN) -> list[dict[str, Any]]:
    """Returns the largest changes where the base was good, one row each, the largest first.

    Args:
        drift: Of the tuned model from its base.
        tokenizer: Of both.
        count: At most so many.
    """
    return [{"text": one.document, "after": f"…{_code(one.context)}",
             "follows": _code(one.following) if one.following != one.base_says else None,  # none: what the base says
             "base says": f"{_code(one.base_says)} ({one.base_says_probability:.1%})",
             "tuned says": f"{_code(one.tuned_says)} ({one.tuned_says_probability:.1%})",
             "tuned gives what follows": _share(one.tuned_probability), "KL (nats)": one.kl}
            for one in readings.largest(drift, tokenizer, count=count)]


def _in_words(drift: Drift, resolution: Drift | None) -> str:
    good, every = readings.read(drift, drift.good), readings.read(drift, np.ones_like(drift.good))
    cut = sum(one.left_out for one in drift.documents)
    read = (f"{len(drift.documents)} texts with {every.positions} tokens that follow others were read"
            + (f"; {cut} more at the ends of long texts were not" if cut else "") + ".")
    if not good.positions:
        return (f"{read} At none of them does the base give the token that follows more than {drift.bar:g}, so there is "
                f"nothing it was good at. Over all of them KL(base ‖ tuned) is {_nats(every.kl)}.")
    bar = (f"At {good.positions} of them ({good.positions / every.positions:.0%}) the base gives the token that follows a "
           f"probability above {drift.bar:g}: there it was good.")
    if not drift.kl.any():
        return f"{read} {bar} The tuned model's next-token probabilities are the base's to the last bit, at every token."
    return (f"{read} {bar} There KL(base ‖ tuned), how far the tuned model's next-token probabilities lie from the base's, "
            f"is {_nats(good.kl)}{_rounding(drift, resolution, good)}; the likeliest token is another one at "
            f"{_percent(good.changed)}. Over all tokens, those the base was unsure of included, KL is {_nats(every.kl)} and "
            f"the likeliest token another one at {_percent(every.changed)}. As a scale: where the base is certain, KL is "
            "0.69 nats once the tuned model halves that token's probability. Intervals cover the texts, not training seeds.")


def _rounding(drift: Drift, resolution: Drift | None, good: Reading) -> str:
    if resolution is None:
        return ""
    null = readings.read(resolution, drift.good).kl
    said = f"; rounding alone makes {null.value:.2g} (the base against itself, read in a padded batch)"
    return said + (", so this is no more than rounding" if good.kl.value <= max(null.value, null.high) else "")


def _nats(one: Estimate) -> str:
    return f"{one.value:.3g} nats per token" + (f" ({_ends(one)})" if np.isfinite(one.low) else "")


def _percent(one: Estimate) -> str:
    return f"{100 * one.value:.3g} %" + (f" ({_ends(one, 100)})" if np.isfinite(one.low) else "")


def _ends(one: Estimate, factor: float = 1.0) -> str:
    return f"{factor * one.low:.3g} to {factor * one.high:.3g}" if np.isfinite(one.low) else ""


def _share(probability: float) -> str:
    return f"{probability:.1%}" if probability >= 1e-3 else f"{100 * probability:.1g} %"


def _code(text: str) -> str:
    """Text as code, so that Markdown takes none of it for its own marks."""
    flat = text.replace("\n", "↵")
    fence = "``" if "`" in flat else "`"
    edge = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{edge}{flat}{edge}{fence}"
