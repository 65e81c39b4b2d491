"""Stand-ins for what Hugging Face gives: a hub to fetch models from, and folders with models."""
