"""What can be worked with in a cell, by widgets: one file per panel, beside the static result it is about."""
