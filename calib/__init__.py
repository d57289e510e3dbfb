"""Calibration: pictures -> activation ranges."""
