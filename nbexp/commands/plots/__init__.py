"""Show and compare the plots of any revision, as DVC does."""
