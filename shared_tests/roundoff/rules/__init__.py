"""How each operation rounds: a rule, a decomposition or a refusal."""
