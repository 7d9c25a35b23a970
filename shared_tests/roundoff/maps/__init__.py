"""Names and layouts of weights, from one side to the other."""
