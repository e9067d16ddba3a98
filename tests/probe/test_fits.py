"""Fits find the parameters that a curve or a map was made with, and refuse what is not of their form."""

import numpy as np
import pytest

from striate.probe import fits
from striate.probe.fits import gabor, gabors, log_gaussian, log_gaussians

X, Y = np.meshgrid(np.arange(15) - 7.0, 7.0 - np.arange(15))


def patch(orientation, frequency, phase, x=0.0, y=0.0, sigma=(2.0, 3.0)):
    direction = np.deg2rad(orientation - 90)
    u = (X - x) * np.cos(direction) + (Y - y) * np.sin(direction)
    v = (Y - y) * np.cos(direction) - (X - x) * np.sin(direction)
    envelope = np.exp(-((u / sigma[0]) ** 2 + (v / sigma[1]) ** 2) / 2)
    return 3 * envelope * np.cos(2 * np.pi * frequency * u - np.deg2rad(phase))


@pytest.mark.parametrize("orientation", [5, 37, 90, 128, 175])
@pytest.mark.parametrize("phase", [0, 60, -90, 150])
def test_a_gabor_function_is_found(orientation, phase):
    field = patch(orientation, 0.15, phase, x=1.0, y=-0.5)
    start = np.deg2rad(orientation + 4) % np.pi
    found = gabor(field, X, Y, [(start, 0.17)])
    assert found.r2 > 0.9999 and found.amplitude == pytest.approx(3, rel=1e-3)
    assert (found.orientation_deg - orientation + 90) % 180 - 90 == pytest.approx(0, abs=0.1)
    assert found.frequency_cpp == pytest.approx(0.15, abs=1e-3)
    assert (found.x_px, found.y_px) == pytest.approx((1.0, -0.5), abs=0.01)
    assert (found.sigma_x_px, found.sigma_y_px) == pytest.approx((2.0, 3.0), rel=0.01)
    assert (found.phase_deg - phase + 180) % 360 - 180 == pytest.approx(0, abs=0.5)


def test_a_map_of_another_form_is_refused():
    noise = np.random.default_rng(0).normal(size=(15, 15))
    assert gabor(noise, X, Y, [(0.5, 0.15)]) is None
    assert gabor(np.zeros((15, 15)), X, Y, [(0.5, 0.15)]) is None
    noisy = patch(37, 0.15, 0) + np.random.default_rng(0).normal(size=(15, 15)) * 0.5
    assert 0.5 < gabor(noisy, X, Y, [(0.6, 0.15)]).r2 < 0.95


def test_a_log_gaussian_is_found():
    frequencies = np.geomspace(0.05, 0.45, 8)
    for peak, octaves in ((0.1, 1.2), (0.2, 1.6), (0.3, 0.9)):
        width = octaves / np.sqrt(8 * np.log(2))
        drive = 7 * np.exp(-(np.log2(frequencies / peak) ** 2) / (2 * width**2))
        assert log_gaussian(frequencies, drive) == pytest.approx((peak, octaves), rel=1e-3)


@pytest.mark.parametrize("slope", [1, -1, 0])
def test_no_peak_is_a_result(slope):
    frequencies = np.geomspace(0.05, 0.45, 8)
    assert log_gaussian(frequencies, frequencies**slope) == (None, None)
    assert log_gaussian(frequencies, np.eye(8)[3]) == (None, None)


@pytest.mark.parametrize("neighbors", [0.06, 0.5, 1.0])
def test_a_fit_stays_within_numbers(neighbors):
    """Three frequencies that drive a unit: a Gaussian of no width, or of any, passes through them."""
    drive = np.zeros(8)
    drive[3:6] = neighbors, 1.0, neighbors
    with np.errstate(all="raise", under="ignore"):
        peak, octaves = log_gaussian(np.geomspace(0.05, 0.45, 8), drive)
    assert peak is None or (0.05 < peak < 0.45 and 0 < octaves < 10)
    steps = np.zeros(8)
    steps[[0, 4, 7]] = 1.0, 0.06, 0.06
    with np.errstate(all="raise", under="ignore"):
        log_gaussian(np.geomspace(0.05, 0.45, 8), steps)


def test_fits_together_are_those_alone():
    """One that ends early, or fails, does not change the others."""
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(15, 15))
    maps = np.stack(
        [patch(20 * k, 0.1 + 0.01 * k, 30 * k) + 0.3 * draw.normal(size=(15, 15)) for k in range(8)]
    )
    fields = np.stack([*maps, noise, np.zeros((15, 15))])
    starts = [[(np.deg2rad(20 * k + 5) % np.pi, 0.15)] for k in range(10)]
    together = gabors(fields, X, Y, starts)
    assert [one is None for one in together] == [False] * 8 + [True] * 2
    for field, start, found in zip(fields, starts, together):
        alone = gabor(field, X, Y, start)
        assert (alone is None) == (found is None)
        assert found is None or found.r2 == pytest.approx(alone.r2, abs=1e-6)
    frequencies = np.geomspace(0.05, 0.45, 8)
    drives = np.stack([np.exp(-(np.log2(frequencies / p) ** 2)) for p in (0.1, 0.2, 0.3)] + [np.eye(8)[3]])
    for drive, found in zip(drives, log_gaussians(frequencies, drives)):
        alone = log_gaussian(frequencies, drive)
        assert found == (pytest.approx(alone, rel=1e-6) if alone[0] else (None, None))


@pytest.mark.parametrize("form", ["_Gabors", "_LogGaussians"])
def test_slopes_are_those_of_the_curves(form):
    draw = np.random.default_rng(1)
    if form == "_Gabors":
        made, p = fits._Gabors(X.ravel(), Y.ravel()), draw.normal(size=(5, 8)) * 0.5
    else:
        made, p = fits._LogGaussians(np.linspace(-4, -1, 8), draw.random((5, 8))), draw.normal(size=(5, 3))
    which = np.arange(5)
    slopes = made.slopes(p, which)
    for k in range(p.shape[1]):
        step = 1e-6 * np.eye(p.shape[1])[k]
        measured = (made.values(p + step, which) - made.values(p - step, which)) / 2e-6
        assert slopes[:, :, k] == pytest.approx(measured, abs=1e-5)
