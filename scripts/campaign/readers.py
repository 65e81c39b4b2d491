"""The readers of foreign bytes, each with small valid inputs to begin from and inputs that were made to break it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import cv2
import msgspec
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as to_safetensors

from pem_edge import pem
from pem_edge.calibration.activations import tensor_statistics
from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints.formats import safetensors_files
from pem_edge.pem.checkpoints.model_folder import read_index
from pem_edge.pem.training import snapshots
from pem_edge.pem.training.optimization import make_optimizer, restore_optimizer
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime import images, sources
from pem_edge.runtime.artifacts import artifact, labels, manifest, pairs, trust
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.benchmark import run as benchmark
from pem_edge.runtime.benchmark import schema
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.datasets import panoptic_maps
from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.layouts.semantic import class_files, label_maps
from pem_edge.runtime.datasets.layouts.semantic.class_table import ClassTable
from pem_edge.runtime.errors import ArtifactError, InputError
from pem_edge.runtime.images import remote
from pem_edge.runtime.results import coco_format
from pem_edge.runtime.sources.raw import RawFrames
from pem_edge.runtime.sources.recordings import captures
from pem_edge.runtime.versioned_json import to_json
from reference.hostile import pickles, torch_files

_FRAMES = 4
DEEP = [b"[" * 100_000, b'{"a":' * 50_000, b"", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"schema_version": 1}', b"null"]
"""JSON that breaks what reads it without care."""


@dataclass(frozen=True)
class Reader:
    """A reader of foreign bytes.

    Attributes:
        name: Its name in the report.
        suffix: The suffix of its files.
        seeds: Valid inputs.
        crafted: Inputs that were made to break it.
        read: Reads a file; raises PemError if it cannot be used.
        weight: How often it is chosen.
    """

    name: str
    suffix: str
    seeds: list[bytes]
    crafted: list[bytes]
    read: Callable[[Path], object]
    weight: int = 4


def table(folder: Path) -> list[Reader]:
    """Return the readers; ``folder`` is for files that their seeds are made in."""
    return [
        Reader("manifest", ".json", [_demo(".json")], DEEP, manifest.read_manifest, 6),
        Reader("lone model", ".onnx", [_small_onnx()], [b"", b"\x3a\xff\xff\xff\xff\x0f"], artifact.read, 4),
        Reader("labels", ".json", [_labels()], DEEP, lambda path: labels.load(str(path)), 4),
        Reader("annotations", ".json", [_annotations(folder)], DEEP, lambda path: _open_coco(folder, path), 6),
        Reader("panoptic map", ".png", list(_maps()), [b""], _read_map, 6),
        Reader("label map", ".png", list(_maps()), [b""], _read_label_map, 4),
        *(
            Reader(name, Path(name).suffix, [seed], [b"", b"\0", b"\xff"], partial(_read_classes, name), 2)
            for name, seed in _CLASSES.items()
        ),
        Reader("picture", ".img", list(_pictures()), [b""], images.read, 10),
        Reader("video", ".avi", [_video(folder)], [b"", b"RIFF\xff\xff\xff\xffAVI LIST"], _play, 4),
        Reader("raw frames", ".rgb", _RAW, [b"", b"\xff" * 64], _play_raw, 3),
        Reader("address", ".txt", _ADDRESSES, [b"", b"rtsp://", b"http://[", b"://"], _find, 3),
        Reader("pickled checkpoint", ".pkl", list(_pickles()), _hostile_pickles(), _checkpoint, 12),
        Reader("PyTorch checkpoint", ".pth", list(_torch_files()), [], _checkpoint, 10),
        Reader("objects beside weights", ".pth", _odd_files(), list(torch_files.HOSTILE.values()), _checkpoint, 10),
        Reader("Lightning checkpoint", ".ckpt", list(_torch_files("model.")), [], _checkpoint, 2),
        Reader("safetensors", ".safetensors", [to_safetensors(_state())], [b"\xff" * 8, b"\0" * 8], _checkpoint, 6),
        Reader("training checkpoint", ".pth", [_Training().save()], [], _Training().restore, 8),
        Reader("calibration cache", ".npz", [_statistics(folder)], [b""], tensor_statistics.load, 8),
        Reader("benchmark report", ".json", [_report()], DEEP, _read_report, 4),
        Reader("waiting manifest", ".json", [_describe(engine=False)], DEEP, _settle, 2),
        Reader("manifest of an engine", ".json", [_describe(engine=True)], DEEP, _read_engine, 3),
        Reader("classes of a checkpoint", ".safetensors", [_with_classes(folder)], [], safetensors_files.describe, 3),
        Reader("index of weights in parts", ".json", [_INDEX], DEEP, lambda path: read_index(path, ".bin"), 3),
        Reader("list of trusted files", ".txt", [_HASHES], [b"", b"\xff" * 64, b"\0"], _trust, 2),
    ]


def _demo(suffix: str) -> bytes:
    return Path(artifact.__file__).parent.joinpath("demo", f"pem-nano{suffix}").read_bytes()


def _small_onnx() -> bytes:
    """Return an ONNX model of one node, with a manifest inside."""
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 256, 512, 3])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    node = helper.make_node("Identity", ["image"], ["logits"])
    outputs = [helper.make_tensor_value_info("logits", TensorProto.UINT8, [1, 256, 512, 3])]
    model = helper.make_model(helper.make_graph([node], "g", [image], outputs, [weight]))
    helper.set_model_props(model, {manifest.METADATA_KEY: _demo(".json").decode()})
    assert isinstance(model, onnx.ModelProto)
    return bytes(model.SerializeToString())


def _labels() -> bytes:
    return json.dumps({"categories": coco_format.categories(labels.load("cityscapes"))}).encode()


def _annotations(folder: Path) -> bytes:
    """Return a COCO document of one image, and write the image and its map."""
    ids = np.repeat(np.arange(1, 9), 64 * 8).reshape(64, 64)
    for name, content in (("images", coco_format.encode(ids * 9)), ("panoptic", coco_format.encode(ids))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(folder / name / "a.png")
    segments = [{"id": number, "category_id": number % 3, "iscrowd": 0, "area": 9.5} for number in range(1, 9)]
    document = {
        "images": [{"id": 7, "file_name": "a.png", "height": 64, "width": 64}],
        "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": segments}],
        "categories": coco_format.categories(labels.load("cityscapes")[:3]),
    }
    return json.dumps(document).encode()


def _open_coco(folder: Path, path: Path) -> object:
    return CocoPanoptic(path, folder / "images", folder / "panoptic")[0]


def _maps() -> Iterator[bytes]:
    ids = np.arange(32 * 32).reshape(32, 32)
    for image in (Image.fromarray(coco_format.encode(ids)), Image.fromarray(ids.astype(np.uint16))):
        for kind in ("PNG", "TIFF"):
            image.save(buffer := io.BytesIO(), kind)
            yield buffer.getvalue()


def _read_map(path: Path) -> object:
    return panoptic_maps.read(path, (32, 32), frozenset(range(1024)), Path("panoptic.json"))


def _read_label_map(path: Path) -> object:
    return label_maps.read(path, (32, 32), ClassTable("classes.txt", [f"class {i}" for i in range(1024)], []))


_CLASSES = {
    "classes.txt": b"road\nvoid\ncar\n",
    "class_dict.csv": b"name,r,g,b\nroad,1,2,3\ncar,4,5,6\n",
    "label_colors.txt": b"1 2 3\troad\n4 5 6\t\tcar\n",
}


def _read_classes(name: str, path: Path) -> object:
    return class_files.read(Path(shutil.copy(path, path.with_name(name))))


def _pictures() -> Iterator[bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in images.FORMATS:
        picture.save(buffer := io.BytesIO(), kind, **({"exif": exif} if kind in ("JPEG", "TIFF", "PNG") else {}))
        yield buffer.getvalue()
    Image.fromarray(noise[..., 0].astype(np.uint16) * 200).save(buffer := io.BytesIO(), "PNG")
    yield buffer.getvalue()
    for suffix in (".png", ".tiff"):  # 12 bits of color, whose low bytes OpenCV gives
        yield cv2.imencode(suffix, noise.astype(np.uint16) * 16)[1].tobytes()


def _video(folder: Path) -> bytes:
    path = folder / "seed.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for value in range(_FRAMES):
        writer.write(np.full((48, 64, 3), 60 * value, np.uint8))
    writer.release()
    return path.read_bytes()


def _play(path: Path) -> object:
    return [frame.read().shape for frame in islice(sources.find(path), _FRAMES)]


_RAW = [bytes([height, 0, width, 0]) + bytes(3 * height * width) for height, width in ((1, 2), (4, 3), (16, 16))]


def _play_raw(path: Path) -> object:
    """Read frames of a size that the content gives."""
    content = path.read_bytes()
    size = (int.from_bytes(content[:2], "little"), int.from_bytes(content[2:4], "little"))
    path.write_bytes(content[4:])
    return [frame.read().shape for frame in islice(RawFrames(path, size), _FRAMES)]


_INDEX = b'{"metadata": {"total_size": 9}, "weight_map": {"a": "part-1-of-2.bin", "b": "part-2-of-2.bin"}}'

_ADDRESSES = [b"rtsp://camera:554/stream", b"camera:0", b"http://127.0.0.1:1/a?b#c", b"folder/picture.jpg", b"-"]


def _find(path: Path) -> object:
    """Find the source that the content names, without opening it, nor asking what is there.

    What opens it does so in a thread, which may still hold a lock of the C library when other workers are forked: they
    would wait for it without end.
    """
    refuse = InputError("nobody is asked")
    with (
        patch.object(remote, "media_type", side_effect=refuse),
        patch.object(captures, "open_capture", side_effect=refuse),
    ):
        return type(sources.find(path.read_bytes().decode(errors="surrogateescape"), timeout=0.1))


def _state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {f"backbone.{i}.weight": torch.randn(4, 3, generator=generator) for i in range(6)}
    return {**state, "decoder.norm.bias": torch.ones(4).half(), "backbone.counter": torch.tensor(3)}


def _hostile_pickles() -> list[bytes]:
    return [*pickles.HOSTILE.values(), *torch_files.DUMPED.values()]


def _pickles() -> Iterator[bytes]:
    yield torch_files.dumped(torch_files.loaded(pickles.data(torch_files.saved(torch_files.storage()))))
    arrays = {name: tensor.numpy() for name, tensor in _state().items()}
    for protocol in range(2, 6):
        yield pickle.dumps({"model": arrays, "__author__": "somebody"}, protocol)


def _torch_files(prefix: str = "") -> Iterator[bytes]:
    state = {prefix + name: tensor for name, tensor in _state().items()}
    for new in (True, False):
        torch.save({"state_dict": state, "epoch": 3}, buffer := io.BytesIO(), _use_new_zipfile_serialization=new)
        yield buffer.getvalue()


def _odd_files() -> list[bytes]:
    """Return files that PyTorch's restricted loader refuses, so that they are read as records."""
    stored = torch_files.storage()
    return [
        torch_files.odd(torch_files.tensor(stored, 1, (1, 3), (3, 1))),
        torch_files.archive(torch_files.document(w=torch_files.tensor(stored)), method=8),
    ]


def _checkpoint(path: Path) -> object:
    return checkpoints.read(path, lambda _: None)


class _Training:
    """A training's state of a small part of a model, saved and restored as the trainer does."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(3, 4)
        self.optimizer = make_optimizer(self.model, TrainingSettings())  # type: ignore[arg-type]  # any module does

    def save(self) -> bytes:
        self.model(torch.ones(2, 3)).sum().backward()
        self.optimizer.step()
        snapshot = {
            "step": 1, "variant": "pem-nano", "classes": ["road"], "settings": {"seed": 0},
            "model": self.model.state_dict(), "average": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "progress": {"sums": torch.zeros(4), "count": 0},
        }  # fmt: skip
        torch.save(snapshot, buffer := io.BytesIO())
        return buffer.getvalue()

    def restore(self, path: Path) -> object:
        snapshot = snapshots.load(path)
        with snapshots.restoring(path):
            self.model.load_state_dict(snapshot["model"])
            restore_optimizer(self.optimizer, snapshot["optimizer"])
        return snapshot["step"]


def _statistics(folder: Path) -> bytes:
    tensor = tensor_statistics.TensorStatistics()
    tensor.add(np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32))
    path = folder / "seed.npz"
    tensor_statistics.Statistics({"a": tensor, "b": tensor}, "m", "i", 2, (64, 96), {"a": 3}).save(path)
    return path.read_bytes()


def _report() -> bytes:
    options = Options(
        rounds=2, most_rounds=2, warmup=1, scenarios=(), cold_starts=0, memory=False, profile=False, rates=False
    )
    return to_json(benchmark.run([artifact.DEMO], options, lambda _: None))


def _read_report(path: Path) -> object:
    return schema.parse(path.read_bytes(), str(path))


_MODEL = b"any"
_HASHES = f"{hashlib.sha256(_MODEL).hexdigest()}  street.engine\n".encode()


def _describe(*, engine: bool) -> bytes:
    """Return the manifest of a file whose content is `_MODEL`."""
    demo = manifest.parse_manifest(_demo(".json"), "demo")
    model = FileHash("model.engine" if engine else "model.onnx", hashlib.sha256(_MODEL).hexdigest())
    about = Engine(target="trt", version="1", gpu="none", compute_capabilities=(), source=model) if engine else None
    return msgspec.structs.replace(demo, model=model, engine=about).to_json()


def _read_engine(path: Path) -> object:
    model = path.with_suffix(".engine")
    model.write_bytes(_MODEL)
    return artifact.read(model)


def _with_classes(folder: Path) -> bytes:
    path = folder / "classes.safetensors"
    checkpoints.save(pem.build("pem-nano", num_classes=19), path, labels=labels.load("cityscapes"))
    return path.read_bytes()


def _trust(path: Path) -> None:
    os.environ[trust.VARIABLE] = str(path)
    try:
        trust.require_trusted(Path("street.engine"), hashlib.sha256(_MODEL).hexdigest(), ArtifactError)
    finally:
        del os.environ[trust.VARIABLE]


def _settle(path: Path) -> object:
    model = path.with_name("model.onnx")
    model.write_bytes(_MODEL)
    path.rename(path.with_name(".model.json.new"))
    pairs.settle(model)
    return model.exists()
