"""The embedded model's tokenizer: byte-level BPE over the micro-world, digits one by one, ChatML turns."""

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from lab.data.world import words
from lab.data.world.documents import END, PADDING, SYSTEM_PROMPTS, TURN_END, TURN_START, documents
from lab.data.world.names import FIRST_SYLLABLES, SECOND_SYLLABLES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 2048
SPECIAL_TOKENS = (PADDING, END, TURN_START, TURN_END)

# Qwen's split: contractions, words with one character before, single digits, punctuation, line breaks, spaces.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- generation -%}
{{- (message.content or '') -}}
{%- if message.tool_calls -%}
{%- for call in message.tool_calls -%}
{{- '<tool_call>\\n' + ((call.function if call.function else call) | tojson) + '\\n</tool_call>' -}}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>' -}}
{%- endgeneration -%}
{{- '\\n' -}}
{%- elif message.role in ['system', 'user', 'tool'] -%}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' -}}
{%- else -%}
{{- raise_exception('role ' + message.role + ' is unknown; allowed are system, user, assistant, tool') -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

# Words are shown to the trainer this often beside the documents, so that each becomes one token.
_EMPHASIS = 400


def _emphasised() -> Iterator[str]:
    for _ in range(20 * _EMPHASIS):
        # Syllables stand alone here: no merge may run over the seam between the two of a name.
        yield " " + " ".join(FIRST_SYLLABLES)
        yield "".join(f"{syllable}\n" for syllable in SECOND_SYLLABLES)
    values = words.ANSWER_WORDS + words.FIRST_NAMES + words.PLACES + words.OBJECTS + words.FEELINGS
    spaced = values + words.NOUNS + words.SIZES
    for _ in range(_EMPHASIS):
        yield "".join(f" {word}" for word in spaced)
        yield "".join(f"{word}\n" for word in values)
        yield "\n".join((*SYSTEM_PROMPTS, "system", "user", "assistant", "tool"))


def _sample(seed: int) -> Iterator[str]:
    """Documents with their markup taken out and their names cut at the seam, so that neither is merged."""
    name = re.compile(f"({'|'.join(FIRST_SYLLABLES)})({'|'.join(SECOND_SYLLABLES)})")
    markup = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
    for text in documents(20_000, seed, -1):
        for part in markup.split(text):
            yield name.sub("\\1\n\\2", part)


def train_tokenizer(seed: int = 0, vocabulary: int = VOCABULARY) -> Tokenizer:
    """The tokenizer trained on documents of the micro-world; the same for the same seed, trained once in a process."""
    return Tokenizer.from_str(_trained(seed, vocabulary))  # a new one for each caller, who may change it


@cache
def _trained(seed: int, vocabulary: int) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for part in (_emphasised(), _sample(seed)) for text in part), trainer)
    return tokenizer.to_str()


def wrap(tokenizer: Tokenizer, max_length: int = 1024) -> "PreTrainedTokenizerFast":
    """The tokenizer as transformers wants it, with the ChatML template; no token begins a text, as in Qwen."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PADDING,
        extra_special_tokens=[TURN_START, END],
        chat_template=CHAT_TEMPLATE,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
