"""The pages beside each other: compare, alignment, line-up."""
