"""What the study claims before it trains: the source's claims with its numbers, and rules that decide them here.

"LoRA Without Regret" (Schulman and Thinking Machines, 2025): Llama-3 and Qwen3 models on Tülu 3 and OpenThoughts 3, one
epoch, alpha 32, constant rate. Its losses stand in figures alone.
"""

from typing import Any

from lab.studies.rate_verdicts import FACTOR
from lab.studies.regret_arms import compared_ranks, middle_rank
from lab.tracking.hypotheses import Hypothesis

PAPER_TIMES = 10.0
TIMES = (5.0, 20.0)
WIDEST = 3.0
REGRET = 2.0  # percent of what full fine-tuning learned
NATS, RATIO, PERCENT = "nats/token", "ratio", "% of full's fall of the loss"
EDGE = "undecided if either best rate is not inside its grid"


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns what these arms have enough ranks to ask."""
    middle, ranks, highest = middle_rank(config), compared_ranks(config), max(config.r)
    stated = [Hypothesis(
        "lora_rate_ten_times_full", "The best LoRA rate is about ten times the best rate of full fine-tuning. Source: 9.8, "
        "a fit over 14 models; about 15 in runs of under 100 steps, an anecdote.",
        f"ratio of best rates, r={middle} to full: supported if its 95 % interval over seeds lies between {TIMES[0]:g} and "
        f"{TIMES[1]:g}, refuted if wholly outside; undecided if it is {WIDEST:g} times as high as low or wider; {EDGE}",
        "1: the same rate")]
    if ranks is not None:
        stated.append(Hypothesis(
            "best_rate_free_of_rank", "The best LoRA rate hardly depends on the rank. Source: less than a factor of 2 from "
            "r=4 to r=512, at alpha 32.",
            f"ratio of best rates, r={ranks[1]} to r={ranks[0]}: supported if its 95 % interval over seeds lies between "
            f"1/{FACTOR:g} and {FACTOR:g}, refuted if wholly outside; {EDGE}", "1: the same rate"))
    if 1 in config.r and middle > 1:
        stated.append(Hypothesis(
            "rank_one_rate_lower", "The best rate of rank 1 is somewhat lower. Source: so, no number.",
            f"ratio of best rates, r=1 to r={middle}: supported if its 95 % interval over seeds lies below 1, refuted if "
            f"above; {EDGE}", "1: the same rate"))
    stated.append(Hypothesis(
        "lora_without_regret", "LoRA of sufficient rank learns as much as full fine-tuning, each at its best rate. Source: "
        "the same loss until a rank's capacity is full; figures, no numbers.",
        f"loss of r={highest} minus loss of full, at the best rates tried, in percent of full's fall below the bare base: "
        f"supported if its 95 % interval over seeds lies below {REGRET:g}, refuted if above; {EDGE}", "0: the same loss"))
    if config.attention_r is not None:
        stated.append(Hypothesis(
            "feed_forward_beats_attention", "An adapter on feed-forward layers alone learns more than one on attention "
            "alone with as many parameters. Source: attention r=256 (0.25 billion) worse than MLP r=128 (0.24 billion) on "
            "Llama-3.1-8B; figures, no numbers.",
            "loss of attention only minus loss of feed-forward only, each at the best rate tried, nats per trained token: "
            f"supported if its 95 % interval over seeds lies above 0, refuted if below; {EDGE}", "0: the same loss"))
    return stated
