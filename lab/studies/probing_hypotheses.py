"""What a study of the residual stream claims, stated before anything is computed."""

from dataclasses import replace

from lab.tracking.hypotheses import Hypothesis

HALF = 0.5
NOTHING = "0: no difference"
EVEN = "0.5: both write as much"
_ENDS = "the 95 % interval over clusters of questions lies"
_ABOVE_0 = "supported if its interval lies above 0, refuted if below"


def hypotheses(*, layers: int, tuned: bool, untrained: bool) -> list[Hypothesis]:
    """Returns what there will be the data to ask.

    Args:
        layers: L; growth and depth are asked of two and more.
        tuned: Whether there are base and tuned; what is claimed of one model is then claimed of the tuned one.
        untrained: Whether an untrained network is measured.
    """
    named = {
        "norms_grow_with_depth": layers > 1, "norms_grow_more_than_untrained": layers > 1 and untrained,
        "feed_forward_writes_more": True, "feed_forward_attributes_more": True, "answer_appears_late": layers > 1,
        "training_raised_the_answer": tuned, "training_wrote_through_feed_forward": tuned,
        "training_moved_the_answer_earlier": tuned and layers > 1}
    return [replace(hypothesis, statement=f"Tuned: {hypothesis.statement}")
            if tuned and not hypothesis.name.startswith("training_") else hypothesis
            for name, asked in named.items() if asked for hypothesis in [_STATED[name]]]


_STATED = {hypothesis.name: hypothesis for hypothesis in (
    Hypothesis(
        "norms_grow_with_depth", "The residual stream grows longer with depth.",
        f"slope over layers of ln length, tokens after the first: {_ABOVE_0}", "0: no growth"),
    Hypothesis(
        "norms_grow_more_than_untrained", "It grows faster than in an untrained network of the same shape.",
        f"that slope minus the untrained network's, same questions: {_ABOVE_0}", NOTHING),
    Hypothesis(
        "feed_forward_writes_more", "Feed-forward writes more than attention, by length.",
        f"feed-forward's share of the two lengths added, mean over layers: supported if {_ENDS} above {HALF}, refuted if "
        "below", EVEN),
    Hypothesis(
        "feed_forward_attributes_more", "The answer's lead over the foil comes more from feed-forward than from attention, "
        "directly.",
        f"logit difference that feed-forward adds minus what attention adds: {_ABOVE_0}", NOTHING),
    Hypothesis(
        "answer_appears_late", "The answer wins in the logit lens only in the second half of the layers.",
        "share of layers run when the lens puts the answer first for good, of questions the model answers: supported if "
        f"{_ENDS} above {HALF}, refuted if below", "0.5: half depth"),
    Hypothesis(
        "training_raised_the_answer", "On the run's held-out rows (else all questions) training raised the answer above "
        "its foil.",
        f"logit difference, tuned minus base: {_ABOVE_0}", NOTHING),
    Hypothesis(
        "training_wrote_through_feed_forward", "Training changed that difference through feed-forward more than through "
        "attention.",
        f"change of feed-forward's part of that difference minus change of attention's: {_ABOVE_0} (attention)", NOTHING),
    Hypothesis(
        "training_moved_the_answer_earlier", "After training the answer wins in the logit lens in an earlier layer.",
        f"first layer of the base minus that of the tuned model, of questions both answer: {_ABOVE_0} (later)", NOTHING))}
