"""The street itself: its layout, its surface and markings, the sky, and shadows on the ground."""
