"""Token batches of the corpus, packed from whole documents, made in worker processes, in an order fixed by the seed."""

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context

import numpy as np
from tokenizers import Tokenizer

from lab.data.world.documents import END, MIXTURE, PADDING, documents
from lab.data.world.item import CATEGORIES

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


def chunk_rows(serialized: str, length: int, seed: int, chunk: int, mixture: Mapping[str, float]) -> np.ndarray:
    """Packed rows of one chunk of the corpus."""
    tokenizer = _tokenizer(serialized)
    vocabulary = tokenizer.get_vocab()
    end, padding = vocabulary[END], vocabulary[PADDING]
    texts = list(documents(DOCUMENTS_PER_CHUNK, seed, chunk, mixture))
    encoded = [[*encoding.ids, end] for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    return pack(encoded, length, padding)


def _chunks(
    serialized: str, length: int, seed: int, workers: int, mixture: Mapping[str, float]
) -> Iterator[np.ndarray]:
    if workers == 0:
        chunk = 0
        while True:
            yield chunk_rows(serialized, length, seed, chunk, mixture)
            chunk += 1
    # Spawned, not forked: the parent may already hold a CUDA context and threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_warm) as pool:
        ahead = deque(pool.submit(chunk_rows, serialized, length, seed, i, mixture) for i in range(3 * workers))
        following = len(ahead)
        try:
            while True:
                yield ahead.popleft().result()
                ahead.append(pool.submit(chunk_rows, serialized, length, seed, following, mixture))
                following += 1
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _warm() -> None:
    import os

    # Each worker is one of many: threads inside it would only fight the others.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def token_batches(
    serialized: str, *, rows: int, length: int, seed: int, workers: int = 0, mixture: Mapping[str, float] = MIXTURE
) -> Generator[np.ndarray, None, None]:
    """Endless batches of the training corpus; the same for the same seed, whatever `workers` is.

    Args:
        serialized: the tokenizer as JSON text.
        rows: sequences in a batch.
        length: tokens in a sequence.
        seed: of the corpus.
        workers: processes that make the text; 0 makes it in this one.
        mixture: the share of each category, by items.

    Yields:
        Array of uint16, shape (rows, length); padding is the token <|pad|>.
    """
    mixture = {category: mixture[category] for category in CATEGORIES if category in mixture}
    held: list[np.ndarray] = []
    count = 0
    for made in _chunks(serialized, length, seed, workers, mixture):
        held.append(made)
        count += len(made)
        if count < rows:
            continue
        joined = np.concatenate(held)
        for start in range(0, count - rows + 1, rows):
            yield joined[start : start + rows]
        left = joined[count - count % rows :]
        held, count = [left], len(left)
