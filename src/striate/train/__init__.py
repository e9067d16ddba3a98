"""Training: losses, optimizers, the loop, run folders, and the readers of data (`train.data`). Parts load on use."""
