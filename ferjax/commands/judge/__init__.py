"""``ferjax judge``: language models beside people, one file a command.

Each is a line of ``COMMANDS`` in :mod:`ferjax.cli`.
"""
