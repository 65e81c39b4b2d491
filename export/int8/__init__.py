"""INT8 export: calibration settings, quantization, and the measured loss and speed."""
