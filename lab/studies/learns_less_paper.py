"""The paper's claims beside this run's: setup, number, interval, verdict, and what may not be concluded from the two."""

SOURCE = "Biderman et al. (2024), LoRA Learns Less and Forgets Less, arXiv 2405.09673"
_BASE = "the base's own average was not in the text read, so that points lost cannot be computed"
# Claim, setup and number by hypothesis, from tables S1-S8, section 4 and figure 6; what was read off no table says so.
CLAIMS: dict[str, tuple[str, str, str, str]] = {
    "lora_learns_less": (
        "LoRA learns less", "Llama-2-7B, r=16/64/256 and full; Magicoder-Evol and MetaMathQA, 4 epochs; HumanEval pass@1 "
        "and GSM8K accuracy", "code .358/.417/.498, full .470; mathematics .580/.624/.625, full .642: full minus the mean "
        "of ranks 4.6 and 3.2 points. No intervals", "accuracy of generated answers there, loss of held-out answers here"),
    "lora_forgets_less": (
        "LoRA forgets less", "the same after 16 epochs; mean accuracy of HellaSwag, ARC-Challenge, WinoGrande",
        f"code .609/.510/.517, full .414; mathematics .596/.568/.567, full .559: 13.1 and 1.8 points; {_BASE}. No intervals",
        "common-sense benchmarks there, generated suites here"),
    "lora_forgets_less_text": (
        "LoRA forgets less, by the loss of documents", "not measured", "not published", "nothing to compare with"),
    "learning_grows_with_rank": (
        "learning grows with the rank", "Magicoder-Evol, 4 epochs, r=16/64/256", "HumanEval .358/.417/.498: 3.5 points per "
        "doubling. After 20 billion tokens of StarCoder r=16/256 .162/.224", "other units; ranks of other widths"),
    "forgetting_grows_with_rank": (
        "forgetting grows with the rank", "Magicoder-Evol, 16 epochs, r=16/64/256",
        "retained .609/.510/.517: 2.3 points lost per doubling, the upper two ranks alike", "other tasks are forgotten"),
    "forgets_less_at_equal_learning": (
        "LoRA forgets less at equal learning", "the frontier over epochs, tokens and ranks",
        "better for LoRA on code, for full on mathematics, alike on Tülu-v2-mix; figures, no numbers",
        "the sign depends on the data set in the paper too"),
    "full_update_high_rank": (
        "the full update is of high rank", "W_q of layer 26, Llama-2-7B on StarCoder; rank-90",
        "more than 1500 of 4096 (.37), for base, tuned and difference alike; higher in MLP than in attention (figures)",
        "one square matrix there, where a Gaussian has .51; here the mean of all, wide ones too, where it has more"),
    "full_update_ten_times_lora": (
        "10 to 100 times a LoRA rank", "from 0.25 billion tokens on, against ranks from 16", "10 to 100",
        "a factor against a rank grows with the model's width: the share of full rank does not"),
    "full_update_below_gaussian": (
        "the rank says something beside noise", "figure S8: weights with small Gaussian noise added",
        "the same spectra as the tuned weights; no number", "low share of noise does not make the rest low rank"),
}
