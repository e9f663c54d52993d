"""Pure core: frames and tensors in, frames and numbers out; no framework."""
