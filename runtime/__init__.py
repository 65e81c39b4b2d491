"""Run an exported PEM: image in, panoptic result out. Never imports torch."""
