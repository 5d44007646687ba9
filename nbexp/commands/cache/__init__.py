"""Explore the run cache: every stage run ever made, recorded as an experiment or not."""

default = "list"
