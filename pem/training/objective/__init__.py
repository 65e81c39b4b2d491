"""The training objective: matching of queries to true segments, and the losses."""
