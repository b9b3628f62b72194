"""Documents that a model's loss is measured on: the world's own, or English that is on every machine."""

from collections.abc import Iterator
from functools import cache
from random import Random

from lab.data.english import PASSAGES
from lab.data.suites.checks import check_count, check_known
from lab.data.suites.choosing import quotas
from lab.data.suites.item import LANGUAGES, Text
from lab.data.suites.world_draws import all_items
from lab.data.world.documents import END

# So many items of a category make a document of thirty to sixty of the embedded model's tokens.
TOGETHER = {"knowledge": 5, "arithmetic": 4, "reasoning": 2, "code": 2, "stories": 1, "copying": 2}
LONG = 1000  # characters


def texts(language: str, *, count: int = 200, seed: int = 0) -> list[Text]:
    """Different documents, equally many of each kind as far as there are, the same for the same seed.

    "world": withheld plain text of each category of the micro-world. Between two items of a document stands the mark
    that ends documents, as in the rows of pretraining: nothing else ever followed an item, and a line break there would
    cost more nats than the items. "english": Python's language reference as CPython brings it along, whose words change
    a little from one version to the next, in pieces of about a thousand characters, and short passages of many kinds.

    Args:
        language: "world" or "english".
        count: How many documents.
        seed: Any integer; it chooses among what exists.

    Raises:
        OptionError: The language is unknown, or there are not so many documents.
    """
    check_known("language", language, LANGUAGES)
    existing = _existing(language)
    check_count(count, sum(map(len, existing.values())), f"documents in language={language!r}")
    rng = Random(f"texts {language} {seed}")
    shares = quotas({kind: len(documents) for kind, documents in existing.items()}, count)
    chosen = [text for kind, documents in existing.items() for text in rng.sample(documents, shares[kind])]
    rng.shuffle(chosen)
    return chosen


@cache
def _existing(language: str) -> dict[str, list[Text]]:
    """All documents, by kind."""
    documents = _of_world() if language == "world" else _of_english()
    found: dict[str, list[Text]] = {}
    for document in documents:
        found.setdefault(document.kind, []).append(document)
    return found


def _of_world() -> Iterator[Text]:
    for category, together in TOGETHER.items():
        plain = list(dict.fromkeys(item.text for item in all_items(category)))
        Random(f"texts {category}").shuffle(plain)
        for number in range(len(plain) // together):
            document = END.join(plain[number * together : (number + 1) * together])
            yield Text(f"{category}/{number}", category, document)


def _of_english() -> Iterator[Text]:
    from pydoc_data.topics import topics

    for name, passage in PASSAGES.items():
        yield Text(f"passage/{name}", "passage", passage)
    told: set[str] = set()
    for topic in sorted(topics):
        for number, piece in enumerate(pieces(topics[topic], told)):
            yield Text(f"python reference/{topic}/{number}", "python reference", piece)


def pieces(text: str, told: set[str]) -> Iterator[str]:
    """Whole paragraphs, together from `LONG` to twice as many characters; without a rest that is shorter.

    Left out are paragraphs told before, and longer ones, which are tables and grammars.

    Args:
        text: With empty lines between paragraphs.
        told: Paragraphs of texts before this one, to which this one's are added: topics repeat one another.
    """
    piece: list[str] = []
    for paragraph in text.strip("\n").split("\n\n"):
        if 0 < len(paragraph.strip()) <= LONG and paragraph.strip() not in told:
            told.add(paragraph.strip())
            piece.append(paragraph)
        if sum(map(len, piece)) >= LONG:
            yield "\n\n".join(piece)
            piece = []
