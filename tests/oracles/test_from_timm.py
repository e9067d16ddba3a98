"""timm's CNN families read from PyTorch and from their ONNX export: layers, parameters, MACs, and torch's outputs.

The families were drawn, not picked: of those whose smallest member has at most MOST parameters (the suite's time),
random.Random(SEED).sample took COUNT. `families.py` says what counts as a family, and as a CNN.
"""

import json
import random

import numpy as np
import pytest

import striate as st
from exhaustive import EXHAUSTIVE
from oracles import families
from striate.analysis import macs

pytestmark = [pytest.mark.torch("torchvision", "timm"), pytest.mark.onnx("torch")]

TABLE = json.loads(families.TABLE.read_text("utf-8"))
SEED, COUNT, MOST = 2026, 44, 20_000_000
DRAWN = {
    "byobnet/bat_resnext": "bat_resnext26ts", "byobnet/eca_resnet": "eca_resnet33ts",
    "byobnet/gcresnext": "gcresnext26ts", "byobnet/gernet": "gernet_s", "byobnet/mobileone": "mobileone_s1",
    "byobnet/resnet": "resnet32ts", "byobnet/resnext": "resnext26ts", "convnext/convnext": "convnext_zepto_rms",
    "convnext/convnextv2": "convnextv2_atto", "cspnet/cs3darknet": "cs3darknet_focus_s",
    "cspnet/darknet": "darknet17", "densenet/densenet": "densenet121", "densenet/densenetblur": "densenetblur121d",
    "dla/dla": "dla46x_c", "dpn/dpn": "dpn48b", "efficientnet/efficientnet": "efficientnet_lite0",
    "efficientnet/efficientnetv2": "efficientnetv2_rw_t", "efficientnet/fbnetc": "fbnetc_100",
    "efficientnet/gc_efficientnetv2": "gc_efficientnetv2_rw_t", "efficientnet/mobilenet": "mobilenet_edgetpu_100",
    "efficientnet/mobilenetv1": "mobilenetv1_100", "efficientnet/mobilenetv2": "mobilenetv2_035",
    "efficientnet/semnasnet": "semnasnet_050", "efficientnet/spnasnet": "spnasnet_100",
    "efficientnet/tf_efficientnetv2": "tf_efficientnetv2_b0", "efficientnet/tf_mixnet": "tf_mixnet_s",
    "efficientnet/tinynet": "tinynet_e", "ghostnet/ghostnetv2": "ghostnetv2_100",
    "ghostnet/ghostnetv3": "ghostnetv3_050", "hgnet/hgnetv2": "hgnetv2_b0", "mobilenetv3/lcnet": "lcnet_035",
    "mobilenetv3/tf_mobilenetv3": "tf_mobilenetv3_small_075", "nfnet/nf_ecaresnet": "nf_ecaresnet26",
    "nfnet/nf_seresnet": "nf_seresnet26", "regnet/regnetx": "regnetx_002", "resnest/resnest": "resnest14d",
    "resnet/ecaresnext": "ecaresnext26t_32x4d", "resnet/resnet": "resnet10t", "resnet/resnetblur": "resnetblur18",
    "resnet/seresnext": "seresnext26t_32x4d", "resnetv2/resnetv2": "resnetv2_18", "rexnet/rexnetr": "rexnetr_100",
    "senet/legacy_seresnet": "legacy_seresnet18", "starnet/starnet": "starnet_s050",
}  # fmt: skip
SIZES = {
    "bat_resnext26ts": 256,
    "inception_v3": 96,
    "inception_v4": 96,
    "inception_resnet_v2": 96,
    "vgg11": 224,
}
"""Inputs of those that 64 pixels are too few for."""
GAINS = {"cs3sedarknet_xdw": 0.1, "inception_v4": 0.1, "legacy_senet154": 0.05, "regnetv_040": 0.1}
"""Deeper ones, in which torch's own rounding reaches the tolerance otherwise."""
ROUNDING = {"inception_v4": 5e-4}
"""Still chaotic: torch in single precision is 0.00005 from torch in double."""
OPAQUE = {"bat_resnext26ts": {"torch": {"aten.view"}, "onnx": {"Reshape"}}}  # bilinear attention: six axes
"""What cannot be imported whole: operators from PyTorch, operators from ONNX. Strict: one that starts to work fails."""
OTHER_COUNTS = {
    "densenetblur121d": 576, "resnetblur18": 8640, "tresnet_m": 8064,  # blur: buffers, convolutions here
    "nf_ecaresnet26": -15424, "nf_seresnet26": -15424,  # gains, which are folded into the weights
    "nf_resnet26": -15424, "nf_regnet_b0": -17856, "nfnet_l0": -32816, "eca_nfnet_l0": -32816, "dm_nfnet_f0": -44912,
}  # fmt: skip
"""How many learned numbers an import from PyTorch has more than the module. An export folds norms: there, the weights
of convolutions and fully connected layers are what is compared."""


def everything():
    """With STRIATE_EXHAUSTIVE the smallest member of every family, else every fifth of those that were drawn."""
    whole = {name for name, _ in TABLE["smallest"].values()}
    return sorted(whole) if EXHAUSTIVE else sorted(DRAWN.values())[::5]


def test_the_families_are_those_that_were_drawn():
    found = families.census()
    import timm

    assert timm.__version__ == TABLE["timm"], "run tests/oracles/families.py and draw again"
    assert list(found) == list(TABLE["smallest"])
    assert all(name in found[family] for family, (name, _) in TABLE["smallest"].items())
    small = {family: name for family, (name, size) in TABLE["smallest"].items() if size <= MOST}
    assert {family: small[family] for family in random.Random(SEED).sample(sorted(small), COUNT)} == DRAWN
    assert COUNT - len(OPAQUE.keys() & DRAWN.values()) >= 40


@pytest.mark.parametrize("name", everything())
def test_a_family(name, tmp_path):
    import torch

    side = SIZES.get(name, 64)
    module, x = families.created(name), torch.randn(4, 3, side, side)
    learned = next(size for member, size in TABLE["smallest"].values() if member == name)
    assert learned == sum(p.numel() for p in module.parameters())
    families.lively(module, x, GAINS.get(name, 0.25))
    x = x[:2]
    with torch.no_grad():
        wanted = module(x).numpy()
    assert np.abs(wanted[0] - wanted[1]).max() > 0.02 * np.abs(wanted).max(), "the input hardly matters"
    nets = {"torch": st.from_torch(module, (3, side, side)),
            "onnx": st.load(families.exported(module, x[:1], tmp_path / "net.onnx"))}  # fmt: skip
    found = {source: families.opaque(net) for source, net in nets.items()}
    assert found == OPAQUE.get(name, {"torch": set(), "onnx": set()})
    layers, cost = families.torchs_layers(module, x[:1])
    for source, net in nets.items():  # also around what is opaque
        assert [net.specs[value].without_batch for value in net.outputs] == [wanted.shape[1:]]
        assert families.layers_of(net) == layers, source
        assert macs(net) == cost, source
        if source == "torch":
            statistics = ("running_mean", "running_var")
            numbers = sum(p.elements for key, p in net.parameters.items() if not key.endswith(statistics))
            assert numbers - learned == OTHER_COUNTS.get(name, 0)
        if not found[source]:
            families.close(net, x.numpy(), wanted, ROUNDING.get(name, 1e-4))
