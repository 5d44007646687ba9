"""List the stages of the pipelines."""
