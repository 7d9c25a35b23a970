"""Tests of the quantization pages."""
