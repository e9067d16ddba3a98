"""The experiment of Hubel and Wiesel on a unit of a network: stimuli on a screen, an electrode, tuning measures.

`stimuli` draws, `electrode` shows the images to a network and reads a value, `tuning`, `maps` and `fits` compute
measures from the responses, and `experiment` runs all of it. Filters are not flipped: the filter of a convolution, as
it is stored, is the picture that excites its unit most.

Apart from all that, `attribution` explains a number of a network by the pixels of an image, and `nearest` finds the
images to which units respond.
"""
