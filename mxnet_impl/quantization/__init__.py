"""Quantization: from codes to a model in whole numbers."""
