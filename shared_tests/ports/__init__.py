"""Ports that others wrote, judged by roundoff: `make ports`.

They run in an environment of their own, .venv/ports, which is built from
requirements.txt here. Nothing is downloaded: every model is small and
has random weights, made from its configuration.
"""
