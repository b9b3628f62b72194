"""The entropy of the pretraining corpus: the loss that no model of it can beat, once it knows the world."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from statistics import fmean, stdev

from lab.data.tokenizer import SPECIAL_TOKENS, VOCABULARY
from lab.data.world.documents import CHAT_SHARE, MIXTURE, SYSTEM_PROMPTS, SYSTEM_SHARE, TURNS, documents
from lab.data.world.draws import draw
from lab.data.world.random_tokens import RANDOM_SHARE, random_length, random_nats

_PARTS = 10  # independent estimates, from whose spread the error is taken


@dataclass(frozen=True)
class CorpusEntropy:
    """Entropy of the corpus with the standard error of its estimate.

    Attributes:
        nats_per_document: Of one document, given the world.
        tokens_per_document: Its end token included.
        nats_per_token: The floor of the pretraining loss.
        error: Standard error of `nats_per_token`, from the items and documents drawn.
    """

    nats_per_document: float
    tokens_per_document: float
    nats_per_token: float
    error: float


def corpus_entropy(
    count_tokens: Callable[[str], int], *, mixture: Mapping[str, float] = MIXTURE, random_share: float = RANDOM_SHARE,
    ordinary: int = VOCABULARY - len(SPECIAL_TOKENS), samples: int = 6000, seed: int = 0,
) -> CorpusEntropy:
    """The corpus's entropy, from the exact probability of items and the exact shares of document forms.

    Documents of random tokens enter in closed form. Rows must hold the longest whole (386 tokens): where they are
    cut, copies are lost and the loss cannot come down to this.

    The entropy of an item is the mean of its -ln probability over draws. A few programs can be asked for in several
    words that plain text does not show; there it is too high by less than 0.1 %.

    Args:
        count_tokens: Tokens of a text, without an end token.
        mixture: The share of each category, by items.
        random_share: Of documents, those that are random tokens, repeated.
        ordinary: Tokens that are not special, of which random documents are made.
        samples: Documents, and items of each category, drawn.
        seed: Of the draws.
    """
    parts = []
    for part in range(_PARTS):
        text_nats = _document_nats(_item_nats(mixture, max(1, samples // _PARTS), f"entropy {seed} {part}"))
        texts = documents(max(1, samples // _PARTS), seed, -1 - part, mixture)  # chunks that training never reads
        text_length = fmean(count_tokens(text) + 1 for text in texts)
        is_random = _entropy([random_share, 1 - random_share])
        parts.append((is_random + (1 - random_share) * text_nats + random_share * random_nats(ordinary),
                      (1 - random_share) * text_length + random_share * random_length()))
    nats, tokens = (fmean(values) for values in zip(*parts, strict=True))
    error = stdev(one / many for one, many in parts) / math.sqrt(_PARTS)
    return CorpusEntropy(nats, tokens, nats / tokens, error)


def _item_nats(mixture: Mapping[str, float], count: int, seed: str) -> float:
    rng, total = Random(seed), sum(mixture.values())
    shares = {category: share / total for category, share in mixture.items() if share > 0}
    within = sum(
        share * fmean(-math.log(draw(category, rng).probability) for _ in range(count))
        for category, share in shares.items()
    )
    return within + _entropy(list(shares.values()))


def _document_nats(item_nats: float) -> float:
    """A document of text is a plain item, or a chat of several with or without a system prompt."""
    turns = _entropy([TURNS.count(turn) / len(TURNS) for turn in set(TURNS)]) + fmean(TURNS) * item_nats
    system = _entropy([SYSTEM_SHARE, 1 - SYSTEM_SHARE]) + SYSTEM_SHARE * math.log(len(SYSTEM_PROMPTS))
    form = _entropy([CHAT_SHARE, 1 - CHAT_SHARE])
    return form + (1 - CHAT_SHARE) * item_nats + CHAT_SHARE * (turns + system)


def _entropy(shares: list[float]) -> float:
    return -sum(share * math.log(share) for share in shares if share > 0)
