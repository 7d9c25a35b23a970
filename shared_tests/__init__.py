"""What is shared: cases, error budgets, fixtures, verdicts, the runs."""
