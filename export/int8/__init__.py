"""Export in INT8: calibration, placement, and measured loss and gain."""
