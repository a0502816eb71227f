"""Networks: one Vision Transformer, as two pure functions."""
