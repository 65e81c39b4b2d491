"""The training objective: matching queries to true segments, and the losses."""
