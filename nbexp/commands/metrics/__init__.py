"""Show and compare the metrics of any revision."""
