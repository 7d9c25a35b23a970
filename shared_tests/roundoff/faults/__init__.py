"""What a wrong number looks like, in words."""
