"""Texts: what people said about them, and what language models say when asked."""
