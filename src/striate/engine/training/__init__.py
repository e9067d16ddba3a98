"""Training in machine code: a network's forward and backward run as one plan."""
