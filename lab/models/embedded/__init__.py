"""The embedded model's files; `MODEL_CARD.md` says what it is."""
