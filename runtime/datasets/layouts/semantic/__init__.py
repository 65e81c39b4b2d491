"""Label maps, which tell the class of each pixel alone: their classes, their values, and instances made of them."""
