"""The fact catalogue, one module per subject: what we run on a target, and what we make of it."""
