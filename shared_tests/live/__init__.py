"""Four live workers: random cases, planted faults, other people's ports."""
