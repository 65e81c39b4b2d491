"""Reading recordings: by PyAV, or by OpenCV, which reads cameras and addresses, too."""
