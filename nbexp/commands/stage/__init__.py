"""List the stages of the pipelines, and add one."""
