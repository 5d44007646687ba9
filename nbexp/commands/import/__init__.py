"""Make experiments of what another tool has recorded: MLflow's runs, the rows of a table.

Each becomes an experiment on the present commit, with its params, metrics and live series, so that old and new runs
stand in one table. Nothing in your folder changes.
"""
