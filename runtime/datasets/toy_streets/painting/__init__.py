"""Drawing in perspective: a camera, a canvas, light, textures and the picture's finish."""
