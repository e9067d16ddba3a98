"""What is known of popular networks, said of files that PyTorch wrote: sizes that fit, lost rows, wasted padding."""

import functools
from pathlib import Path

import pytest

import striate as st
from cli.run import run
from oracles.families import exported
from striate.checks import Config

pytestmark = pytest.mark.onnx("torch", "torchvision")


@functools.cache
def unet(up: str):
    """Two levels down and up again, the skips concatenated; up by a transposed convolution or by interpolation."""
    import torch
    from torch import nn

    def double(a, b):
        return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(True),
                             nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(True))  # fmt: skip

    def larger(a, b):
        if up == "transposed":
            return nn.ConvTranspose2d(a, b, 2, 2)
        return nn.Sequential(nn.Upsample(scale_factor=2, mode=up), nn.Conv2d(a, b, 1))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down1, self.down2, self.bottom = double(3, 8), double(8, 16), double(16, 32)
            self.pool = nn.MaxPool2d(2)
            self.larger2, self.larger1 = larger(32, 16), larger(16, 8)
            self.up2, self.up1 = double(32, 16), double(16, 8)
            self.head = nn.Conv2d(8, 2, 1)

        def forward(self, x):
            a = self.down1(x)
            b = self.down2(self.pool(a))
            y = self.larger2(self.bottom(self.pool(b)))
            y = self.larger1(self.up2(torch.cat([b, y], 1)))
            return self.head(self.up1(torch.cat([a, y], 1)))

    return UNet().eval()


@pytest.mark.parametrize("up", ["transposed", "nearest", "bilinear"])
def test_a_unet_says_which_sizes_its_skips_allow(up, tmp_path):
    import torch

    path = exported(unet(up), torch.randn(1, 3, 64, 64), tmp_path / "unet.onnx")
    assert {axis.rule for axis in st.sizes(st.load(path)).axes.values()} == {"N = 0 mod 4, N >= 4"}
    said = run("sizes", str(path), "--near", "70")
    assert said.code == 0 and "N = 0 mod 4" in said.out and "72" in said.out
    said = run("check", str(path), "--input", "66x70x3", "--select", "G003")
    assert said.code == 1
    assert (
        "cannot merge 32x34x16 and 33x35x16" in said.out or "cannot merge 33x35x16 and 32x34x16" in said.out
    )
    (finding,) = st.check(st.load(path, "66x70x3"), Config(select=("G003",))).findings
    for fix in finding.fixes:
        mended = st.load(path, "{1}x{2}x{0}".format(*fix.input))
        assert not st.check(mended, Config(select=("G003",))).findings
    assert {fix.input for fix in finding.fixes} >= {(3, 64, 68), (3, 68, 72)}


def torchvisions(name: str, folder: Path) -> Path:
    import torch

    from torchvision_cpu import torchvision

    module = torchvision.models.get_model(name, weights=None).eval()
    return exported(module, torch.randn(1, 3, 224, 224), folder / f"{name}.onnx")


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_squeezenet_loses_a_row_and_a_column(name, tmp_path):
    report = st.check(st.load(torchvisions(name, tmp_path)))
    (finding,) = [finding for finding in report.findings if finding.code == "G002"]
    assert finding.node == "features.0" and "row 223 and column 223 (447 of 50176 pixels)" in finding.why


def test_resnet50_wastes_padding_at_five_layers(tmp_path):
    """The first input size without: 225."""
    path = torchvisions("resnet50", tmp_path)
    found = {size: [f.node for f in st.check(st.load(path, f"{size}x{size}x3")).findings if f.code in ("P001", "G002")]
             for size in (224, 225)}  # fmt: skip
    assert found == {224: ["conv1", "maxpool", "layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2"], 225: []}
    assert "225" in run("sizes", str(path), "--near", "224").out
