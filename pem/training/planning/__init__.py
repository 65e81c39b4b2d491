"""The settings of a run: what it is for, scaled to the images, and what a step of it costs on this machine."""
