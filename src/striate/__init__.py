"""Striate: convolutional networks you can see through.

Everything public is named in `__init__.pyi`; heavy parts load on first use. Hooks of lower modules are connected to the
functions that answer them here (`striate.hooks`).
"""

from striate import hooks, lazy
from striate.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, __loader__)

hooks.register("network", "striate.formats.load_model:load_any")
hooks.register("elsewhere", "striate.models.catalogue:instead")
hooks.register("draw", "striate.views.drawing.picture:draw")
hooks.register("size", "striate.formats.notation:parse_size")
hooks.register("html", "striate.views.displays:html")
hooks.register("table", "striate.views.displays:table")
hooks.register("training", "striate.views.text.training:display")
hooks.register("attribution", "striate.views.drawing.attribution:picture")
hooks.register("nearest", "striate.views.drawing.nearest:picture")
hooks.register("recording", "striate.views.drawing.recording:picture")
hooks.register("recording page", "striate.views.html.experiment:page")
hooks.register("population", "striate.views.drawing.population:picture")
hooks.register("population page", "striate.views.html.experiment:population_page")
