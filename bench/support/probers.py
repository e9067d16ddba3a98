"""A population of the experiment, by tool: `probers.py TOOL --serve` stays and is timed, as `tools.py` has it.

torch runs the same networks on the same gratings and spots: drawn once for all networks, all nodes read in one pass,
the measures as tensors. It fits no curve of spatial frequency and draws no bootstrap interval.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from typing import Any

from tools import serve
from trainers import RECIPES, Job

SEEDS = 3
BATCH = 64
Medians = dict[str, float]
"""Value -> median circular variance of the units that respond, in the network as given."""


@functools.cache
def model(recipe: str) -> Any:
    """The network of a recipe with fresh weights: what it takes does not depend on them."""
    import striate as st

    job = Job.of(RECIPES[recipe], 0)
    made = st.Model(job.net, weights=job.weights)
    made.transform = job.transforms[1].to_dict()
    return made


def striate(recipe: str) -> Medians:
    import numpy as np

    import striate as st

    found = st.population(model(recipe), seeds=SEEDS)
    return {node.value: float(np.median(node.samples[0].defined("cv"))) for node in found.nodes}


def torch_loop(recipe: str) -> Medians:
    import numpy as np
    import torch

    from striate.engine.torch.lowering import lower
    from striate.probe import population, stimuli
    from striate.probe.electrode import Light, part_up_to

    made = model(recipe)
    sites, _ = population.sites_of(made.net, ())
    part = part_up_to(made.net, *sites)
    given = dict(made.weights.current())
    weights = [given]
    weights += [population.arrays.initialize(made.net, k + 1) for k in range(SEEDS)]
    weights += [population.shuffled(given, k + 1) for k in range(SEEDS)]
    modules = [lower(part, {name: held[name] for name in part.parameters}) for held in weights]
    light = Light.of(made, 1.0)
    gray, amplitude = (torch.from_numpy(a).float()[:, None, None] for a in (light.gray, light.amplitude))
    spec = made.net.input
    rows = torch.arange(spec.size("H"), dtype=torch.float32)
    columns = torch.arange(spec.size("W"), dtype=torch.float32)

    def responses(patterns: torch.Tensor, screen: Any) -> list[list[torch.Tensor]]:
        """Of each network and value the rectified responses (n, K); patterns lie on a screen."""
        kept: list[list[list[torch.Tensor]]] = [[[] for _ in sites] for _ in modules]
        (top, bottom), (left, right) = screen.rows, screen.columns
        for some in patterns.split(BATCH):
            images = gray.expand(len(some), len(gray), len(rows), len(columns)).clone()
            images[:, :, top : bottom + 1, left : right + 1] += amplitude * some[:, None]
            shown = torch.from_numpy(light.transform(images.numpy()))
            for module, held in zip(modules, kept):
                outputs = module(shown)
                outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
                for value, at, into in zip(outputs, sites.values(), held):
                    into.append(value[:, :, at.row, at.column].clamp(min=0))
        return [[torch.cat(one) for one in held] for held in kept]

    with torch.inference_mode():
        spans = zip(*((at.screen.rows, at.screen.columns) for at in sites.values()))
        screen = stimuli.Screen(*((min(s[0] for s in one), max(s[1] for s in one)) for one in spans))
        turns = torch.arange(stimuli.ORIENTATIONS) * (math.pi / stimuli.ORIENTATIONS)
        rates = torch.tensor(stimuli.ladder(screen, None))
        phases = torch.arange(16) * (2 * math.pi / 16)
        height, width = screen.shape
        x = torch.arange(width) - (width - 1) / 2
        y = (height - 1) / 2 - torch.arange(height)
        tilt = turns[:, None, None] - math.pi / 2
        along = torch.cos(tilt) * x + torch.sin(tilt) * y[:, None]
        waves = 2 * math.pi * rates[None, :, None, None, None] * along[:, None, None] - phases[:, None, None]
        shown = responses(torch.cos(waves).reshape(-1, height, width), screen)
        blank = responses(torch.zeros(1, height, width), screen)
        grids: dict[Any, list[int]] = {}
        for k, at in enumerate(sites.values()):
            grids.setdefault(at.screen, []).append(k)
        for field in grids:
            cells = stimuli.Cells.of(field)
            count = math.prod(stimuli.Spots(cells).shape)
            responses(torch.from_numpy(stimuli.Spots(cells).draw(field, np.arange(count))).float(), field)
        cycle = torch.exp(-2j * math.pi * torch.arange(16) / 16).to(torch.complex64)
        medians: list[Medians] = []
        for network, rest in zip(shown, blank):
            medians.append({})
            for value, r, r0 in zip(sites, network, rest):
                grid = r.T.reshape(-1, len(turns), len(rates), len(phases))
                f0, f1 = grid.mean(-1), (grid.to(torch.complex64) @ cycle).abs() * (2 / 16)
                drive = torch.maximum(f0 - r0[0][:, None, None], f1).clamp(min=0)
                best = drive.amax(1).argmax(1)
                curve = drive[torch.arange(len(drive)), :, best]
                total = curve.sum(1)
                vector = (curve * torch.exp(2j * turns).to(torch.complex64)).sum(1).abs()
                responding = drive.amax((1, 2)) > population.SILENT_SHARE * r.max()
                medians[-1][value] = float(np.median((1 - vector / total)[responding].numpy()))
    return medians[0]


TOOLS = {"striate": striate, "torch": torch_loop}


if __name__ == "__main__":
    _, chosen, which = sys.argv
    if which == "--serve":
        serve(lambda recipe: functools.partial(TOOLS[chosen], recipe))
    else:
        print(json.dumps(TOOLS[chosen](which)))
