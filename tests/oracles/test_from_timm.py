"""timm's CNN families read from PyTorch: parameters, and torch's outputs on the numpy engine.

Small variants of families that differ in their operators, picked by hand.
"""

import numpy as np
import pytest

import striate as st

FAMILIES = [
    "convnext_atto", "nf_regnet_b0", "ghostnet_050", "hrnet_w18_small", "dla34", "seresnet18",
    "cspresnet50", "darknet53", "repvgg_a0", "vovnet39a", "ese_vovnet19b_dw", "tinynet_e",
    "hardcorenas_a", "dpn48b", "selecsls42", "xception41", "lcnet_050", "mixnet_s", "fbnetc_100",
    "spnasnet_100", "semnasnet_050", "efficientnet_lite0", "tf_efficientnet_b0", "resnetv2_50",
    "focalnet_tiny_srf", "inception_next_atto", "starnet_s1", "fasternet_t0", "ghostnetv2_100",
    "rexnet_100", "ecaresnet26t",
]  # fmt: skip
OPAQUE = {"resnest14d": {"aten.sum", "aten.softmax"}, "skresnet18": {"aten.stack", "aten.sum"},
          "gcresnet33ts": {"aten.softmax", "aten.matmul"}}  # fmt: skip
"""What cannot be imported whole, with its operators."""


@pytest.mark.torch("torchvision", "timm")
@pytest.mark.parametrize("name", [*FAMILIES, *OPAQUE])
def test_a_family(name):
    import torch

    import torchvision_cpu  # noqa: F401  # before timm: it makes torchvision importable
    import timm  # isort: skip

    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval()
    net = st.from_torch(module, (3, 64, 64))
    opaque = {node.op.operator for node in net.nodes if node.op.word == "opaque"}
    assert opaque == OPAQUE.get(name, set())
    if opaque:
        return
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = module(x).numpy()
    found = st.Model(net, engine="numpy").predict(x.numpy())
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
