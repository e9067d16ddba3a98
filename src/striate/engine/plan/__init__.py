"""From a network to a list of steps for the kernels: what is fused, how values lie in memory, which algorithm runs."""
