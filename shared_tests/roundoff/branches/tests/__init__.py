"""Tests: not part of what others install."""
