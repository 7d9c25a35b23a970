"""Benchmarks, memory, and the tests of the GPU kernels."""
