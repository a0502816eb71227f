"""Judges beside people: language models, and networks, held against a panel of ratings."""
