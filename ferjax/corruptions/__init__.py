"""Corruptions of pictures as pure JAX functions, and the suites they form."""
