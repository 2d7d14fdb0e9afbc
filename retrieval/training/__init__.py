"""Training the baseline on a release of landmarks."""
