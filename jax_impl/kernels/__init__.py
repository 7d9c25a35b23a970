"""Attention kernels for GPUs; on a CPU they are interpreted."""
