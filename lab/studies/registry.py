"""Every entry point: its name, its track and the question it answers. MLproject and the README are written from this."""

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Entry:
    """One entry point; `lab.studies.<name>` holds its `Config` and `run`."""

    name: str
    track: str
    question: str


ENTRIES = (
    Entry("main", "tour", "the tour: a small fine-tune and every analysis of it, on the embedded model"),
    Entry("pretrain", "base", "how is a base model made?"),
    Entry("finetune", "fine-tuning", "what does one LoRA, QLoRA or full fine-tune look like from inside?"),
    Entry("lora_rank", "fine-tuning", "how does rank change what is learned?"),
    Entry("learning_rate", "fine-tuning", "how does the learning rate change it?"),
    Entry("loss_curves", "fine-tuning", "what does a loss curve say?"),
    Entry("forgetting", "fine-tuning", "what did the model lose while it learned?"),
    Entry("mitigation", "fine-tuning", "which remedy keeps most of what was learned at the least forgetting?"),
    Entry("attention", "attention", "where does attention go?"),
    Entry("attention_compare", "attention", "what did fine-tuning change about it?"),
    Entry("probing", "representations", "what does each block add to the residual stream, and when is the answer there?"),
    Entry("patching", "representations", "which place carries the answer, or what training changed about it?"),
    Entry("linear_probe", "representations", "what is linearly readable, and is the probe honest?"),
    Entry("adapter_geometry", "representations", "what shape has an update, and which of it does anything?"),
    Entry("lora_learns_less", "papers", "does LoRA learn less and forget less than full fine-tuning? (arXiv 2405.09673)"),
    Entry("lora_illusion", "papers", "do intruder dimensions make LoRA forget? (arXiv 2410.21228)"),
    Entry("lora_without_regret", "papers", "which learning rates do LoRA and full fine-tuning want, and is anything lost?"),
    Entry("ask", "any", "what do base and tuned models answer, side by side?"),
    Entry("adopt", "any", "make an adapter trained elsewhere a run, so that every analysis takes it"),
)


def load(name: str) -> ModuleType:
    """Returns the study's module."""
    return importlib.import_module(f"lab.studies.{name}")
