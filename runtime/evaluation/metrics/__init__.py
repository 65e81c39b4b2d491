"""The metrics panoptic quality and mean intersection over union, accumulated image by image."""

from pem_edge.runtime.evaluation.metrics.mean_iou import MeanIoU, MeanIoUScores
from pem_edge.runtime.evaluation.metrics.panoptic_quality import ClassQuality, PanopticQuality, PanopticScores, Quality

__all__ = ["ClassQuality", "MeanIoU", "MeanIoUScores", "PanopticQuality", "PanopticScores", "Quality"]
