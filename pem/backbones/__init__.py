"""Backbones, which turn an image into feature maps at strides 4, 8, 16 and 32."""

from pem_edge.pem.backbones.base import Backbone
from pem_edge.pem.backbones.resnet import ResNet
from pem_edge.pem.backbones.stdc import STDC
from pem_edge.pem.backbones.swin import SwinTransformer

__all__ = ["STDC", "Backbone", "ResNet", "SwinTransformer"]
