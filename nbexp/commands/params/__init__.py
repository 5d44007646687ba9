"""Compare the params of two revisions."""
