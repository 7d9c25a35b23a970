"""Triton kernels: variants of pages, for the GPU; import them by name."""
