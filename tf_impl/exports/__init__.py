"""What export.py is made of."""
