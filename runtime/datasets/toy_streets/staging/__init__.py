"""Which objects a scene has, and where they stand."""
