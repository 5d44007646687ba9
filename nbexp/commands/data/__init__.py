"""Track data files and directories."""
