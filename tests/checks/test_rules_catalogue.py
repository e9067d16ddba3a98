"""Published networks: no false alarms, and exactly the faults that are known of them."""

import pytest

from striate.checks import Config, check
from striate.diagnostics import Severity
from striate.models import create
from striate.models.catalogue import list_models

FAMOUS = ["resnet50", "densenet121", "mobilenet_v2", "vgg16", "efficientnet_b0", "convnext_tiny"]
KNOWN_ERRORS = {
    # The sizes at which they are trained; a real row and column of each is never read.
    "nin_imagenet": {"mlpconv1.conv1"},
    "squeezenet1_0": {"features.0"},
    "squeezenet1_1": {"features.0"},
}


def nodes(report, code):
    return [finding.node for finding in report.findings if finding.code == code]


@pytest.mark.parametrize("name", FAMOUS)
def test_famous_networks_have_no_errors(name):
    report = check(create(name))
    assert not report.failed and not report.skipped
    assert {finding.code for finding in report.findings if finding.severity is Severity.WARNING} <= {
        "P001",
        "C002",
    }


def test_resnet50_at_224():
    report = check(create("resnet50"))
    assert nodes(report, "P001") == ["conv1", "maxpool", "layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2"]
    fix = next(finding for finding in report.findings if finding.code == "P001").fixes
    assert [f.input for f in fix if f.input] == [(3, 193, 193), (3, 225, 225)]
    assert not nodes(check(create("resnet50", input=(3, 225, 225))), "P001")


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_squeezenet_loses_a_row_and_a_column(name):
    report = check(create(name), Config(select=("G002",)))
    (finding,) = report.findings
    assert finding.node == "features.0" and "row 223 and column 223 (447 of 50176 pixels)" in finding.why


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_shortcut_that_steps_over_pixels_is_no_loss_where_the_main_branch_reads_them(name):
    report = check(create(name), Config(select=("G002", "U001")))
    assert not report.findings


def test_vgg_and_alexnet_put_their_weights_into_one_layer():
    assert nodes(check(create("vgg16")), "C002") == ["classifier.0"]
    assert nodes(check(create("alexnet")), "C002") == ["classifier.1"]


def test_vgg_with_batch_norm_carries_dead_biases():
    report = check(create("vgg16_bn"), Config(select=("N001",)))
    assert len(report.findings) == 13 and all(
        fix.change == {"bias": False} for f in report.findings for fix in f.fixes
    )


def test_unpadded_networks_say_so_once_per_layer_and_print_it_once():
    report = check(create("unet"), Config(select=("P002",)))
    assert len(report.findings) == 18
    assert str(report).count("output shrinks") == 1 and "and 13 more" in str(report)


def test_inception_dilutes_its_averages():
    assert len(nodes(check(create("inception_v3")), "P005")) == 9


@pytest.mark.parametrize("name", sorted(list_models()))
def test_the_catalogue_has_no_unknown_errors(name):
    errors = {finding.node for finding in check(create(name)).findings if finding.severity is Severity.ERROR}
    assert errors == KNOWN_ERRORS.get(name, set())
