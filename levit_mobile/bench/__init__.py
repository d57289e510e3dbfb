"""Latency and cost: on this machine, on a board, on an emulated board."""
