"""What the frameworks' own functions do: the ledger of deviations."""
