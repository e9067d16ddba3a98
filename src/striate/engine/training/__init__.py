"""Training in machine code: the forward and the backward pass of a network as one plan."""
