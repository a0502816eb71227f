"""Voted faces: where they come from, what their votes mean, and what can happen to their pixels."""
