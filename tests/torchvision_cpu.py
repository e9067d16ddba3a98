"""Import torchvision beside a CPU build of torch: `from torchvision_cpu import torchvision`, then timm.

torchvision's wheels bring compiled operators that need CUDA's libraries. Where those are missing,
the operators are declared by name (and never called): its model definitions, all that the tests use, import.
"""

import importlib.util
import re
from pathlib import Path

import torch

_root = Path(importlib.util.find_spec("torchvision").submodule_search_locations[0])


def _operators_load() -> bool:
    for library in [*_root.glob("_C*.so"), *_root.glob("_C*.pyd"), *_root.glob("_C*.dylib")]:
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
        return True
    return False


if not _operators_load():
    _source = (_root / "_meta_registrations.py").read_text()
    _declared = torch.library.Library("torchvision", "DEF")  # the operators live as long as this object
    for _name in sorted(set(re.findall(r'torchvision::(\w+)"|register_meta\("(\w+)"', _source))):
        _declared.define(f"{''.join(_name)}(Tensor a) -> Tensor")

import torchvision  # noqa: E402

__all__ = ["torchvision"]
