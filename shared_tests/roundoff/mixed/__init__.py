"""Budgets of other precisions than float32."""
