"""What tests and scripts hold the package against: published forms, weights by formula, made-up cases."""
