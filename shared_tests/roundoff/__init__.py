"""Rounding or bug? The verdict for any model; imports nothing of this repo."""
