"""From pictures to decisions: the router as a program and as a command uses it."""
