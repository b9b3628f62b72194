"""The source's claims beside this run's: setup, number, interval, verdict, and what is not the same."""

SOURCE = "Schulman and Thinking Machines (2025), LoRA Without Regret"
# Claim, setup and number by hypothesis; losses stand in its figures alone.
CLAIMS: dict[str, tuple[str, str, str, str]] = {
    "lora_rate_ten_times_full": (
        "LoRA's best rate is about ten times full's", "Llama-3 and Qwen3, Tülu 3 and OpenThoughts 3, one epoch, alpha 32",
        "9.8, fitted over 14 models; about 15 in runs of under 100 steps (anecdotal). No interval",
        "the ratio belongs to alpha, initialisation, model width and number of steps; short runs favour higher rates, and "
        "not alike for both"),
    "best_rate_free_of_rank": (
        "the best rate hardly depends on the rank", "the same, r=1 to 512", "less than a factor of 2 from r=4 to r=512",
        "other ranks and widths"),
    "rank_one_rate_lower": (
        "rank 1 wants a somewhat lower rate", "the same", "no number", "in a short run a small rank may want a higher one"),
    "lora_without_regret": (
        "LoRA of sufficient rank reaches full's loss", "the same, until the rank's capacity is full", "figures, no numbers",
        "facts seen many times in few steps here, one epoch of instructions there"),
    "feed_forward_beats_attention": (
        "feed-forward only beats attention only at as many parameters",
        "Llama-3.1-8B; attention r=256 (0.25 billion parameters), MLP r=128 (0.24 billion)", "figures, no numbers",
        "facts are the task here, which are known to be written into feed-forward layers"),
}
