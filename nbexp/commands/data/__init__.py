"""Track data files and directories, and share them through remotes."""
