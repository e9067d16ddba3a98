"""Running a plan: its memory, its threads, and the measured limits of the machine."""
