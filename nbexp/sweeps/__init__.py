"""Sweeps: many experiments from one request.

space      what the experiments differ in: choices, intervals, or points that are given
samplers/  who picks the next point, one file each; the Protocol is in its `__init__.py`
"""
