"""What a choice decides: comparisons, picks, roundings, held or judged."""
