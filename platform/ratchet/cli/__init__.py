"""The command line of Ratchet. What a command does is imported when it runs, so that `--help` answers at once."""
