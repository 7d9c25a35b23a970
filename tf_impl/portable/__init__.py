"""A checkpoint that the four frameworks save and load alike."""
