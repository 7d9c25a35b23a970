"""Outputs of the parts of a model; the first that is wrong."""
