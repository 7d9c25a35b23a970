"""Training on digits and diabetes."""
