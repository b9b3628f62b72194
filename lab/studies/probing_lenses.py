"""Tuned lenses on request: of the base, asked on base and tuned, and one of the tuned model's own beside it."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lab.data.disjoint import texts
from lab.data.prompt_sources import ENGLISH, WORLD
from lab.data.prompts import Prompt, batches
from lab.errors import OptionError
from lab.figures.lens_layers import lens_error
from lab.models import anatomy
from lab.probing.decomposition import Decomposition
from lab.probing.final import Final
from lab.probing.tuned_lens import Quality, Text, TunedLens, quality
from lab.probing.tuned_lens_training import TOKENS, train
from lab.studies.attention_intervals import between, over_prompts
from lab.studies.attention_prompts import AUTO
from lab.tracking.run import Run

LOGIT, OF_BASE, OF_ITS_OWN = "logit lens", "tuned lens", "retrained lens"
EVALUATED = 128  # texts
LONGEST = 256  # tokens of a text
_TEXTS_A_STEP = 4  # so that few tokens are seen twice
_TOKENS_AT_ONCE = 4096


class Lenses:
    """Lenses as they are trained, and how far each is from what a model says."""

    def __init__(self, config: Any, tokenizer: Any, *, knows: bool) -> None:
        """Reads the texts, those to train on and those to evaluate on without a common entity.

        Args:
            config: Of the study.
            tokenizer: The model's.
            knows: Whether the model was made for the micro-world.

        Raises:
            OptionError, DataError: See `lab.data.disjoint.texts`.
        """
        self.config = config
        natural = WORLD if knows else ENGLISH
        sources = [natural if source == AUTO else source for source in config.texts]
        to_train, self.evaluated = texts(tokenizer, sources, count=_TEXTS_A_STEP * config.steps, evaluation=EVALUATED,
                                         seed=config.seed, longest=LONGEST)
        pad = tokenizer.pad_token_id or 0
        self.to_train, self.to_evaluate = _batches(to_train, pad, config.seed), _batches(self.evaluated, pad, config.seed)
        if (total := sum(int(real.sum()) for _, real in self.to_train)) < TOKENS:
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
            lenses[OF_BASE] = own
        else:
            lenses |= {OF_BASE: self.base, OF_ITS_OWN: own}
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
                covers=f"texts that no lens was trained on (n={len(self.evaluated)})"),
                {**{f"{lens}.divergence": one.divergence for lens, one in each.items()},
                 **{f"{lens}.bias": one.bias for lens, one in each.items()}, "training": self.losses[model]})
            for lens, (mean, low, high) in bits.items():
                rows += [{"model": model, "lens": lens, "layer": layer, "divergence (bits)": float(mean[layer]),
                          "95 % interval": between(low[layer], high[layer]),
                          "marginal bias (bits)": float(each[lens].bias[layer])} for layer in range(len(mean))]
                run.summary({f"probing/{words}_{lens.replace(' ', '_')}_divergence_bits": float(mean[:-1].mean())}
                            if len(mean) > 1 else {})
        run.table("lenses", rows)


@contextlib.contextmanager
def without_adapters(model: Any, adapters: Sequence[str] | None) -> Any:
    """The base of a PEFT model inside; a plain model as it is."""
    with model.disable_adapter() if adapters else contextlib.nullcontext():
        yield model


def _batches(prompts: Sequence[Prompt], pad: int, seed: int) -> list[Text]:
    found = [(torch.from_numpy(ids), torch.from_numpy(mask).bool())
             for _, ids, mask in batches(prompts, pad, _TOKENS_AT_ONCE)]
    return [found[i] for i in np.random.default_rng(seed).permutation(len(found))]
