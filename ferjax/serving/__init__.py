"""Routing of pictures with a trained ensemble: from Python, from files, from one exported file."""
