"""Token batches of the corpus, packed from whole documents, made in worker processes, in an order fixed by the seed."""

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from random import Random

import numpy as np
from tokenizers import Tokenizer

from lab.data.world.documents import END, MIXTURE, PADDING, documents
from lab.data.world.item import CATEGORIES
from lab.data.world.random_tokens import RANDOM_SHARE, ordinary_tokens, random_document

DOCUMENTS_PER_CHUNK = 4096
LOOK_AHEAD = 64


@lru_cache(maxsize=2)
def _tokenizer(serialized: str) -> Tokenizer:
    return Tokenizer.from_str(serialized)


def pack(documents: list[list[int]], length: int, padding: int) -> np.ndarray:
    """Rows of `length` tokens made of whole documents, each row's rest filled with padding.

    A row takes, among the next LOOK_AHEAD documents, the first that still fits; a document longer than a row is cut.

    Returns:
        Array of uint16, one row per training sequence.
    """
    waiting = deque(document[:length] for document in documents)
    ahead: list[list[int]] = []
    rows: list[list[int]] = []
    row: list[int] = []
    while waiting or ahead:
        while waiting and len(ahead) < LOOK_AHEAD:
            ahead.append(waiting.popleft())
        room = length - len(row)
        fitting = next((i for i, document in enumerate(ahead) if len(document) <= room), None)
        if fitting is None:
            rows.append(row + [padding] * room)
            row = []
        else:
            row += ahead.pop(fitting)
    if len(row) == length:
        rows.append(row)
    # An unfinished last row is left out: every row of a chunk is full but for the gaps no document fits.
    return np.array(rows, dtype=np.uint16).reshape(len(rows), length)


def chunk_rows(
    serialized: str, length: int, seed: int, chunk: int, mixture: Mapping[str, float], random_share: float
) -> np.ndarray:
    """Packed rows of one chunk of the corpus: texts of the micro-world and, among them, documents of random tokens."""
    tokenizer = _tokenizer(serialized)
    vocabulary = tokenizer.get_vocab()
    rng = Random(f"random tokens {seed} {chunk}")
    is_random = [rng.random() < random_share for _ in range(DOCUMENTS_PER_CHUNK)]
    texts = list(documents(is_random.count(False), seed, chunk, mixture))
    encoded = iter(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    ordinary = ordinary_tokens(tokenizer)
    made = [random_document(rng, ordinary) if drawn else next(encoded).ids for drawn in is_random]
    return pack([[*document, vocabulary[END]] for document in made], length, vocabulary[PADDING])


def _chunks(
    serialized: str, length: int, seed: int, workers: int, mixture: Mapping[str, float], random_share: float
) -> Iterator[np.ndarray]:
    made = partial(chunk_rows, serialized, length, seed, mixture=mixture, random_share=random_share)
    if workers == 0:
        chunk = 0
        while True:
            yield made(chunk)
            chunk += 1
    # Spawned, not forked: the parent may already hold a CUDA context and threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_warm) as pool:
        ahead = deque(pool.submit(made, i) for i in range(3 * workers))
        following = len(ahead)
        try:
            while True:
                yield ahead.popleft().result()
                ahead.append(pool.submit(made, following))
                following += 1
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _warm() -> None:
    import os

    # Each worker is one of many: threads inside it would only fight the others.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def token_batches(
    serialized: str, *, rows: int, length: int, seed: int, workers: int = 0, mixture: Mapping[str, float] = MIXTURE,
    random_share: float = RANDOM_SHARE,
) -> Generator[np.ndarray, None, None]:
    """Endless batches of the training corpus; the same for the same seed, whatever `workers` is.

    Args:
        serialized: the tokenizer as JSON text.
        rows: sequences in a batch.
        length: tokens in a sequence.
        seed: of the corpus.
        workers: processes that make the text; 0 makes it in this one.
        mixture: the share of each category, by items.
        random_share: of documents, those that are random tokens, repeated.

    Yields:
        Array of uint16, shape (rows, length); padding is the token <|pad|>.
    """
    mixture = {category: mixture[category] for category in CATEGORIES if category in mixture}
    held: list[np.ndarray] = []
    count = 0
    for made in _chunks(serialized, length, seed, workers, mixture, random_share):
        held.append(made)
        count += len(made)
        if count < rows:
            continue
        joined = np.concatenate(held)
        for start in range(0, count - rows + 1, rows):
            yield joined[start : start + rows]
        left = joined[count - count % rows :]
        held, count = [left], len(left)
