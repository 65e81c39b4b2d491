"""A street scene from a seed."""

from __future__ import annotations

import numpy as np

from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.datasets.toy_streets.classes import LABELS
from pem_edge.runtime.datasets.toy_streets.ground import ground, markings, shadows, sky, street
from pem_edge.runtime.datasets.toy_streets.painting import finish, light
from pem_edge.runtime.datasets.toy_streets.painting.camera import Camera, View
from pem_edge.runtime.datasets.toy_streets.painting.canvas import VOID, Canvas
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter
from pem_edge.runtime.datasets.toy_streets.staging import pavement, roadside, traffic
from pem_edge.runtime.datasets.toy_streets.staging.stage import Stage


def scene(seed: int, height: int, width: int) -> Sample:
    """Return the street with the number ``seed`` (0 and up), its image and its truth, at any size in pixels.

    At another size it is the same street, seen by the same camera; a wider picture shows more of its sides. Every
    pixel is labeled with what was painted there last; what shows less than a 2048th of the height squared (32 pixels
    of 256 rows), and the bonnet of the car that carries the camera, is void.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    plan = street.random_street(rng)
    camera = Camera(View.random(rng, plan.lane(int(rng.integers(1, plan.lanes + 1)))), (height, width))
    painter = Painter(Canvas((height, width), LABELS), camera, light.random_light(rng))
    sky.draw(painter, rng)
    ground.draw(painter, rng, plan)
    markings.draw(painter, rng, plan)
    stage = Stage(painter, rng, plan)
    for side in street.SIDES:
        roadside.place(stage, side)
        pavement.place(stage, side)
    traffic.place(stage)
    shadows.draw(painter, plan, stage.shadows)
    stage.paint()
    if rng.random() < 0.3:
        _bonnet(painter, rng)
    image = finish.finish(painter, rng)
    panoptic, segments = painter.canvas.truth()
    return Sample(f"street_{seed}", image, panoptic, segments)


def _bonnet(painter: Painter, rng: np.random.Generator) -> None:
    """Paint the front of the car that carries the camera."""
    painter.begin(VOID)
    height, width = painter.camera.size
    level, rise = rng.uniform(15, 120), rng.uniform(0.04, 0.09) * height
    angles = np.linspace(np.pi, 2 * np.pi, 24)
    for scale, shade, detail in ((1.0, 0.6, False), (0.93, 1.0, True), (0.5, 1.12, True)):
        points = np.stack(
            [width / 2 + 0.95 * height * scale * np.cos(angles), height + rise * scale * np.sin(angles)], 1
        )
        gray = level * shade
        painter.canvas.fill([(points * 16).astype(np.int32)], (gray, gray, gray * 1.05), detail=detail)
