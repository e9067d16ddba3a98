"""From a network to a list of kernel calls: what is fused, how values are laid out in memory, which algorithm runs."""
