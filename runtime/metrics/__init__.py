"""How right a model is: panoptic quality and mean intersection over union, gathered image by image."""

from runtime.metrics.mean_iou import MeanIoU, MeanIoUScores
from runtime.metrics.panoptic_quality import ClassQuality, PanopticQuality, PanopticScores, Quality

__all__ = ["ClassQuality", "MeanIoU", "MeanIoUScores", "PanopticQuality", "PanopticScores", "Quality"]
