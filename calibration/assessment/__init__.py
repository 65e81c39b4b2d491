"""The accuracy that each block loses in INT8, and the blocks to keep out of it."""
