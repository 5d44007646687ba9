"""See and bring back experiments that were removed, or replaced by a run of their name."""

default = "list"
