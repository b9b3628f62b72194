"""Tuned lenses on request: of the base, asked on base and tuned, and one of the tuned model's own beside it."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lab.data.disjoint import texts
from lab.data.prompt_sources import ENGLISH, WORLD
from lab.data.prompts import Prompt, batches
from lab.data.questions import Question
from lab.data.world import CATEGORIES
from lab.errors import OptionError
from lab.figures.lens_layers import lens_error
from lab.models import anatomy
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.tuned_lens import Quality, Text, TunedLens, quality
from lab.probing.tuned_lens_training import TOKENS, train
from lab.studies.attention_intervals import between, over_prompts
from lab.studies.attention_prompts import AUTO
from lab.studies.probing_questions import of_category
from lab.tracking.report import table
from lab.tracking.run import Run

LOGIT, ALONE = "logit lens", "tuned lens"
OF_BASE, OF_ITS_OWN = "the base's tuned lens", "a lens trained on the tuned model"
_METRICS = {LOGIT: "logit_lens", ALONE: "tuned_lens", OF_BASE: "tuned_lens", OF_ITS_OWN: "retrained_lens"}
EVALUATED = 128  # texts
LONGEST = 256  # tokens of a text
_TEXTS_A_STEP = 4  # so that few tokens are seen twice
_TOKENS_AT_ONCE = 4096


class Lenses:
    """Lenses as they are trained, and how far each is from what a model says."""

    def __init__(self, config: Any, tokenizer: Any, questions: Sequence[Question], *, knows: bool, alone: bool) -> None:
        """Reads the texts, those to train on and those to evaluate on without a common entity.

        Args:
            config: Of the study.
            tokenizer: The model's.
            questions: That will be read through the lens.
            knows: Whether the model was made for the micro-world.
            alone: Whether there is one model, not a base and a tuned one.

        Raises:
            OptionError, DataError: See `lab.data.disjoint.texts`.
        """
        self.config = config
        natural = WORLD if knows else ENGLISH
        self.sources = [natural if source == AUTO else source for source in config.texts]
        self.categories, self.name = list(of_category(questions)), ALONE if alone else OF_BASE
        self.trained, self.evaluated = texts(tokenizer, self.sources, count=_TEXTS_A_STEP * config.steps,
                                             evaluation=EVALUATED, seed=config.seed, longest=LONGEST)
        pad = tokenizer.pad_token_id or 0
        self.to_train, self.to_evaluate = (_batches(each, pad, config.seed) for each in (self.trained, self.evaluated))
        if (total := _tokens(self.trained)) < TOKENS:
            raise OptionError(f"texts={','.join(config.texts)}: they hold {total} tokens to train a lens on, and {TOKENS} "
                              "are needed; give more texts, or type lens=logit")
        self.base: TunedLens | None = None
        self.losses: dict[str, np.ndarray] = {}
        self.found: dict[str, dict[str, Quality]] = {}

    def fit(self, name: str, model: Any, decomposition: Decomposition, final: Final) -> None:
        """Trains a lens on a model and holds it, the logit lens and the base's lens to what the model says.

        The first model is the base, whose lens is asked on all.

        Args:
            name: Of the model.
            model: In evaluation mode, with the adapter active that is meant, or none.
            decomposition: Of it.
            final: Of it.
        """
        own, self.losses[name] = train(model, decomposition, final, self.to_train, steps=self.config.steps,
                                       seed=self.config.seed)
        lenses = {LOGIT: TunedLens.identity(anatomy.n_layers(model), anatomy.width(model))}
        if self.base is None:
            self.base = own
            lenses[self.name] = own
        else:
            lenses |= {self.name: self.base, OF_ITS_OWN: own}
        self.found[name] = quality(model, decomposition, final, self.to_evaluate, lenses)

    def record(self, run: Run) -> None:
        """Keeps the distances as figures, arrays, table and metrics."""
        rows = []
        for model, each in self.found.items():
            bits = {lens: over_prompts(one.divergence) for lens, one in each.items()}
            words = "".join(c if c.isalnum() else "_" for c in model)
            run.figure(f"lens_error_{words}", lens_error(
                {lens: told[0] for lens, told in bits.items()}, {lens: one.bias for lens, one in each.items()},
                intervals={lens: np.stack(told[1:], -1) for lens, told in bits.items()},
                covers=f"texts that no lens was trained on (n={len(self.evaluated)})", title=f"output of {_who(model)}"),
                {**{f"{lens}.divergence": one.divergence for lens, one in each.items()},
                 **{f"{lens}.bias": one.bias for lens, one in each.items()}, "training": self.losses[model]})
            for lens, (mean, low, high) in bits.items():
                rows += [{"model": model, "lens": lens, "layer": layer, "divergence (bits)": float(mean[layer]),
                          "95 % interval": between(low[layer], high[layer]),
                          "marginal bias (bits)": float(each[lens].bias[layer])} for layer in range(len(mean))]
                run.summary({f"probing/{words}_{_METRICS[lens]}_divergence_bits": float(mean[:-1].mean())}
                            if len(mean) > 1 else {})
        run.table("lenses", rows)

    def section(self) -> tuple[str, str]:
        """Returns title and text for the report: what was trained and judged on what, and a table a model."""
        used = min(_tokens(self.trained), TOKENS * self.config.steps)
        words = (f"A tuned lens is one affine map a layer, trained so that what the layer holds says what the model says in "
                 f"the end (Belrose et al. 2023); the last layer has none. It was trained for {self.config.steps} steps of "
                 f"{TOKENS} tokens on {len(self.trained)} texts ({', '.join(self.sources)}; {used} of their "
                 f"{_tokens(self.trained)} tokens were used, at most once each), and every lens was judged on "
                 f"{len(self.evaluated)} other texts ({_tokens(self.evaluated)} tokens): in the micro-world about people, "
                 f"operands and words that no lens was trained on, elsewhere other documents. {self._restricted()}")
        if self.name == OF_BASE:
            words += (f" Figures and arrays `tuned_lens_*` read base and tuned model through {OF_BASE}; {OF_ITS_OWN}, on "
                      "the same texts, is only judged here: where it is much nearer than the base's, training changed the "
                      "form in which layers hold what they know.")
        parts = [words]
        for model, each in self.found.items():
            bits = {lens: over_prompts(one.divergence) for lens, one in each.items()}
            told = ", ".join(f"{lens} {mean[:-1].mean():.3g}" for lens, (mean, _, _) in bits.items() if len(mean) > 1)
            parts += [f"**{_who(model)}**: KL divergence from its output in bits per token (0: the same), mean over all "
                      f"layers but the last: {told}. Marginal bias is the part that a constant would repair. Intervals "
                      "cover texts.", table([{"layer": layer, **_row(bits, each, layer)}
                                             for layer in range(len(self.losses[model][0]) + 1)])]
        return "Tuned lens", "\n\n".join(parts)

    def _restricted(self) -> str:
        world = [category for category in self.categories if category in CATEGORIES]
        others = [category for category in self.categories if category not in CATEGORIES]
        text = (f"Questions ({', '.join(world)}) were restricted to that evaluation side too, so other questions are asked "
                "than with lens=logit." if world else "No question was left out for the lens's sake.")
        if world and others:
            text += f" {', '.join(others)}: not restricted."
        return text


@contextlib.contextmanager
def without_adapters(model: Any, adapters: Sequence[str] | None) -> Any:
    """The base of a PEFT model inside; a plain model as it is."""
    with model.disable_adapter() if adapters else contextlib.nullcontext():
        yield model


def _row(bits: Mapping[str, Any], each: Mapping[str, Quality], layer: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for lens, (mean, low, high) in bits.items():
        row |= {f"{lens}: KL (bits)": float(mean[layer]), f"{lens}: 95 % interval": between(low[layer], high[layer]),
                f"{lens}: marginal bias (bits)": float(each[lens].bias[layer])}
    return row


def _who(model: str) -> str:
    return model if model.startswith("this") else f"the {model}" if model == "base" else f"the {model} model"


def _tokens(prompts: Sequence[Prompt]) -> int:
    return sum(len(prompt.input_ids) for prompt in prompts)


def _batches(prompts: Sequence[Prompt], pad: int, seed: int) -> list[Text]:
    found = [(torch.from_numpy(ids), torch.from_numpy(mask).bool())
             for _, ids, mask in batches(prompts, pad, _TOKENS_AT_ONCE)]
    return [found[i] for i in np.random.default_rng(seed).permutation(len(found))]
