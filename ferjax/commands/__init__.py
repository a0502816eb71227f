"""The commands, one file each: a dataclass whose fields are the flags and whose ``run`` does the
work."""
