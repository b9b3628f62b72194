"""What the study claims before it trains: the paper's claims with the paper's numbers, and rules that decide them here.

"LoRA Learns Less and Forgets Less" (Biderman et al., 2024, arXiv 2405.09673): Llama-2-7B on code and mathematics.
"""

from typing import Any

from lab.studies.learns_less_curves import CONTRADICTED
from lab.tracking.hypotheses import Hypothesis

FEWEST_SEEDS = 2
TIMES = 10  # a LoRA rank, the least that the paper says of the full update's
PAPER_SHARE = 1500 / 4096  # of full rank, which the paper's W_q exceeds
INTERVAL = f"95 % interval over seeds and items; undecided with fewer than {FEWEST_SEEDS} seeds"
NATS, POINTS, BITS, DOUBLING = "nats/token", "points", "bits/byte", "per doubling of the rank"
SAME = "0: full fine-tuning does the same"
NO_RANK = "0: rank makes no difference"


def hypotheses(config: Any) -> list[Hypothesis]:
    """Returns what these arms have enough ranks to ask."""
    return [*_against_full(config), *(_by_rank(config) if len(set(config.r)) > 1 else []), *_of_the_update(config)]


def middle_rank(config: Any) -> int:
    """The LoRA rank that the full update's is held against: the middle one of those trained, of two the smaller."""
    ranks = sorted(set(config.r))
    return int(ranks[(len(ranks) - 1) // 2])


def _against_full(config: Any) -> list[Hypothesis]:
    return [
        Hypothesis(
            "lora_learns_less", "LoRA learns less than full fine-tuning, each at its best rate. Paper: HumanEval after 4 "
            "epochs of Magicoder .358/.417/.498 for r=16/64/256, .470 for full; GSM8K .580/.624/.625, .642.",
            "fall of the held-out loss at the last step, nats per trained token, of full minus the mean over ranks: "
            f"supported above 0, refuted below, by its {INTERVAL}", SAME),
        Hypothesis(
            "lora_forgets_less", "LoRA forgets less than full fine-tuning, each at its best rate. Paper: mean accuracy of "
            "HellaSwag, ARC-Challenge and WinoGrande after 16 epochs of Magicoder .609/.510/.517 for r=16/64/256, .414 for "
            "full; of MetaMathQA .596/.568/.567, .559.",
            f"percentage points of accuracy lost at the last step, mean over {_suites(config)}, of full minus the mean over "
            "ranks: "
            f"supported above 0, refuted below, by its {INTERVAL}", SAME),
        Hypothesis(
            "lora_forgets_less_text", "LoRA also forgets less as the loss of documents tells it, which the paper does not "
            "measure.",
            "bits per byte that held-out documents cost more at the last step, of full minus the mean over ranks: "
            f"supported above 0, refuted below, by its {INTERVAL}", SAME),
        Hypothesis(
            "forgets_less_at_equal_learning", "Where both have learned as much, LoRA has forgotten less. Paper: so for "
            "code, the other way round for mathematics, equal on Tülu-v2-mix; figures, no numbers.",
            "percentage points that full has lost more at the same fall of the held-out loss, straight between checkpoints, "
            "mean over the levels that both pass after their first checkpoint and over ranks: supported above 0, refuted "
            f"below, by its {INTERVAL}, or where no level is common", SAME),
    ]


def _by_rank(config: Any) -> list[Hypothesis]:
    return [
        Hypothesis(
            "learning_grows_with_rank", "A higher rank learns more, each at its best rate. Paper: HumanEval after 4 epochs "
            ".358/.417/.498 for r=16/64/256, 3.5 points per doubling.",
            "least-squares slope of the fall of the held-out loss on log2(rank), nats per trained token per doubling: "
            f"supported above 0, refuted below, by its {INTERVAL}", NO_RANK),
        Hypothesis(
            "forgetting_grows_with_rank", "A higher rank forgets more, each at its best rate. Paper: retained after 16 "
            "epochs of Magicoder .609/.510/.517 for r=16/64/256, 2.3 points lost per doubling.",
            f"least-squares slope of the points lost, mean over {_suites(config)}, on log2(rank), points per doubling: "
            f"supported above 0, refuted below, by its {INTERVAL}", NO_RANK),
    ]


def _suites(config: Any) -> str:
    without = CONTRADICTED.get(config.dataset, ())
    return f"suites but {', '.join(without)}, which the task contradicts" if without else "suites"


def _of_the_update(config: Any) -> list[Hypothesis]:
    middle, interval = middle_rank(config), f"95 % interval over layers and seeds; undecided with fewer than {FEWEST_SEEDS}"
    return [
        Hypothesis(
            "full_update_high_rank", "What full fine-tuning adds to a weight is of high rank. Paper: more than 1500 of 4096 "
            "directions hold 90 % of the squared singular values of W_q's update in layer 26.",
            f"those directions as a share of full rank, mean over the matrices: supported above {PAPER_SHARE:.2g}, refuted "
            f"below, by its {interval}, or where weights are not kept in float32",
            "Gaussian matrices of the same shapes, about 0.51 for square ones"),
        Hypothesis(
            "full_update_ten_times_lora", f"The rank of the full update is at least {TIMES} times a LoRA rank, here "
            f"r={middle}. Paper: 10 to 100 times, of ranks from 16, after 0.25 billion tokens.",
            f"directions that hold 90 % of the squared singular values over {middle}, mean over the matrices: supported "
            f"above {TIMES}, refuted below, by its {interval}, or where weights are not kept in float32",
            f"Gaussian matrices of the same shapes, over {middle}"),
        Hypothesis(
            "full_update_below_gaussian", "The full update has fewer directions than noise, so that its rank says "
            "something. Paper: small Gaussian noise has the same spectra (figure S8).",
            "1 − its directions over those of a Gaussian matrix of the same shape, mean over the matrices: supported above "
            f"0, refuted below, by its {interval}, or where weights are not kept in float32", "0: Gaussian matrices"),
    ]
