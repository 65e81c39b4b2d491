"""Drawing in perspective: a camera, a canvas, light, textures and effects of lens and sensor."""
