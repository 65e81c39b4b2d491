"""What several of the runtime's tests share."""
