"""A network or a training run as one HTML page without a script, written from the records that every view reads."""
