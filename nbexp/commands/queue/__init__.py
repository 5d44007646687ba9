"""Run experiments in the background: what waits, what runs, and who works."""

default = "status"
