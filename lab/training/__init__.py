"""Training: pretraining, fine-tuning, and what their curves say. Steps are reported to a callback; nothing here logs."""
