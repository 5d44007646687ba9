"""What an author of a plug-in holds it to: one module for each kind of plug-in, with its contract as tests."""
