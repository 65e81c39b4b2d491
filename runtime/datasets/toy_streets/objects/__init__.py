"""Draws the objects of a street: buildings, furniture, plants, people and vehicles."""
