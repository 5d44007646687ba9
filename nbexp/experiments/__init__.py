"""An experiment from request to commit and back."""
