"""What stands or moves on a street: buildings, furniture, plants, people and vehicles."""
