"""``python -m ferjax``: the ``ferjax`` command."""

from ferjax.cli import main

main()
