"""How fast artifacts are here, where the time goes, and which one to ship."""
