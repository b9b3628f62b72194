"""Data room: the generated micro-world, its tokenizer, and the rows that models are trained on."""
