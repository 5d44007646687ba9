"""Stages: what they are, which of them would run and why, and running them."""
