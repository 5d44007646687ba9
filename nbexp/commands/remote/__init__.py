"""Where objects are kept besides this machine: list, add and change remotes."""
