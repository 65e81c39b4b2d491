"""Names checkpoints of models that are known but not supported, by what their tensors are called.

Names are looked at as they are found in files, and as they are after prefixes were taken off and detectron2's
translated, because both reach an error message.
"""

from __future__ import annotations

import re
from collections.abc import Collection

SUPPORTED = "PEM, Mask2Former, PRO-SCALE or EoMT"
"""The models whose checkpoints load, for messages."""

GIANT = "EoMT with a ViT-g or larger"
"""A model that its configuration tells, too."""

_PREDICTOR = r"^(?:sem_seg_head\.predictor|decoder)\."
_MM_HEAD = r"^(?:panoptic_head|decode_head)\."
_DINOV3 = "EoMT with DINOv3, published as differences from weights that Meta gives out on request"
_VIT, _QUERIES = r"^(?:network\.)?encoder\.backbone\.", r"^(?:network\.)?q\.weight$"
_TABLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Whole models. Special ones come before those that they are built of.
    ("VidEoMT", (r"^query_updater\.", r"^upscale_block\.block\.\d+\.")),
    (_DINOV3, (r"^upscale_block\.block\.\d+\.", r"^layers\.\d+\.attention\.o_proj\.")),
    (_DINOV3, (_VIT + r"(?:\w+\.)*\d+\.attention\.[qkvo]_proj\.", _QUERIES)),
    (GIANT, (r"^upscale_block\.block\.\d+\.", r"^layers\.39\.")),
    (GIANT, (_VIT + r"blocks\.39\.", _QUERIES)),
    ("OneFormer", (r"(?:^|\.)(?:task_mlp|task_encoder)\.",)),
    ("Mask DINO", (_PREDICTOR + r"(?:label_enc|enc_output_norm)\.",)),
    ("kMaX-DeepLab", (_PREDICTOR + r"(?:_kmax_transformer_layers|_cluster_centers)\.",)),
    ("MaskFormer", (_PREDICTOR + r"transformer\.(?:encoder|decoder)\.",)),
    ("MaskFormer", (r"(?:^|\.)transformer_module\.decoder\.layers\.\d+\.encoder_attn\.",)),
    ("MaskFormer", (_MM_HEAD + r"pixel_decoder\.(?:encoder_in_proj|last_feat_conv)\.",)),
    ("Mask2Former for video", (r"^track_head\.(?:query_feat|pixel_decoder)\.",)),
    ("YOSO", (r"^yoso_(?:neck|head)\.",)),
    ("YOLO", (r"^(?:model\.)*\d+\.(?:m\.\d+\.)*cv\d\.",)),
    ("RT-DETR", (r"(?:^|\.)denoising_class_embed\.",)),
    ("DETR", (r"^(?:detr\.)?(?:model\.)?query_position_embeddings\.weight$",)),
    ("DETR", (r"^(?:detr\.)?transformer\.decoder\.layers\.", r"^(?:detr\.)?bbox_embed\.")),
    ("SAM", (r"(?:^|\.)(?:sam_)?mask_decoder\.iou_",)),
    ("Panoptic-DeepLab", (r"^ins_embed_head\.",)),
    ("Panoptic FPN", (r"^roi_heads\.", r"^sem_seg_head\.")),
    ("Panoptic FPN", (r"^roi_head\.", r"^semantic_head\.")),
    ("Mask R-CNN or a sibling", (r"^(?:roi_heads?|proposal_generator|rpn_head)\.",)),
    ("SegFormer", (r"^segformer\.encoder\.|^decode_head\.(?:linear_c|linear_fuse|fusion_conv)\.",)),
    ("UPerNet", (r"^decode_head\.(?:psp_modules|fpn_bottleneck)\.",)),
    ("a model of mmsegmentation that classifies pixels", (r"^decode_head\.conv_seg\.",)),
    # Backbones of Mask2Former and its kin.
    ("Mask2Former with a backbone of Swin V2", (r"\.(?:continuous_position_bias_mlp|cpb_mlp)\.",)),
    ("Mask2Former with a backbone of ConvNeXt", (r"\.(?:pwconv1|pointwise_conv1)\.",)),
    ("Mask2Former with a backbone of FocalNet", (r"\.modulation\.(?:[fh]|projection_in|focal_layers)\.",)),
    ("Mask2Former with a backbone of InternImage", (r"^backbone\.levels\.\d+\.blocks\.\d+\.dcn\.",)),
    ("Mask2Former with a backbone of DiNAT", (r"^backbone\.levels\.\d+\.blocks\.\d+\.attn\.",)),
    ("Mask2Former with a ViT-Adapter", (r"^backbone\.(?:spm|interactions)\.",)),
    ("Mask2Former with a ResNet of three convolutions in the stem", (r"^backbone\.stem\.(?:conv[23]|\d+)\.",)),
)
_KNOWN = tuple((model, tuple(re.compile(pattern) for pattern in patterns)) for model, patterns in _TABLE)
"""Models, each with patterns of names: it is that model if a name of each pattern is there. The first row counts."""

_MODEL_TYPES = {
    "conditional_detr": "Conditional DETR",
    "d_fine": "D-FINE",
    "dab-detr": "DAB-DETR",
    "deformable_detr": "Deformable DETR",
    "detr": "DETR",
    "dpt": "DPT",
    "eomt_dinov3": _DINOV3,
    "lw_detr": "LW-DETR",
    "maskformer": "MaskFormer",
    "oneformer": "OneFormer",
    "rf_detr": "RF-DETR",
    "rt_detr": "RT-DETR",
    "rt_detr_v2": "RT-DETR v2",
    "sam": "SAM",
    "sam2": "SAM 2",
    "sam2_video": "SAM 2",
    "sam3": "SAM 3",
    "sam3_video": "SAM 3",
    "sam_hq": "SAM-HQ",
    "segformer": "SegFormer",
    "upernet": "UPerNet",
    "videomt": "VidEoMT",
    "yolos": "YOLOS",
}
"""Models by ``model_type`` in the configurations of transformers."""

_ON_THE_HUB = (
    (re.compile(r"tue-mps/\w+_eomt_\w+_dinov3", re.IGNORECASE), _DINOV3),
    (re.compile(r"tue-mps/\w+_eomt_(?:giant|7b)_\w+", re.IGNORECASE), GIANT),
)
"""Models by their names on the hub, where their authors have some that load and some that do not."""

_PICKLED = {"ultralytics": "YOLO", "models.yolo": "YOLO", "models.common": "YOLO"}
"""Models by the package or module that their pickles ask to run; YOLOv5's modules are in ``models``."""


def name_of(names: Collection[str]) -> str | None:
    """Return what model the tensors called ``names`` are of, None if it is none of those known here."""
    for model, patterns in _KNOWN:
        if all(any(pattern.search(name) for name in names) for pattern in patterns):
            return model
    return None


def name_of_model_type(model_type: str) -> str | None:
    """Return what model a ``model_type`` of transformers stands for, None if it is none of those known here."""
    return _MODEL_TYPES.get(model_type)


def name_of_hub_model(name: str) -> str | None:
    """Return what model is called ``name`` on the Hugging Face hub, None if it is none of those known here."""
    return next((model for pattern, model in _ON_THE_HUB if pattern.fullmatch(name)), None)


def refusal(what: str, model: str) -> str:
    """Return the message that ``what`` is ``model``, which is not supported."""
    return (
        f"{what} {model}, which is not supported: give one of {SUPPORTED} with a backbone that pem-export --list shows"
    )


def name_of_pickle(global_name: str) -> str | None:
    """Return what model a pickle is of that asks to run ``global_name``, such as "ultralytics.nn.tasks.DetectionModel".

    None if it is none of those known here.
    """
    found = (model for module, model in _PICKLED.items() if global_name.startswith(f"{module}."))
    return next(found, None)
