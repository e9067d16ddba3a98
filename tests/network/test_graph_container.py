"""A network as Python knows containers: by name, by number of nodes, in order; and how it shows itself."""

import copy
import pickle
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given

import striate as st
from cli.run import run
from network_strategies import networks
from striate.diagnostics import Named, UnknownNameError

TEXT = "32x32x3 -> conv 5x5 6 -> relu -> maxpool 2 -> flatten -> fc 10"


@given(networks())
def test_a_network_is_its_nodes_in_order(net):
    assert list(net) == list(net.nodes)
    assert len(net) == len(net.nodes)
    for node in net:
        assert net[node.name] is node and node.name in net and node in net
    assert net and "no such node" not in net and 3 not in net


@given(networks())
def test_a_network_is_told_in_one_line(net):
    assert "\n" not in repr(net) and net.name in repr(net)


@pytest.mark.parametrize("table", ["nodes", "specs", "declarations", "parameters", "inputs"])
def test_every_key_error_names_the_nearest(table):
    net = st.parse(TEXT, name="tiny")
    entries, wrong, near = {
        "nodes": (net, "conv2", "conv1"),
        "specs": (net.specs, "rely1", "relu1"),
        "declarations": (net.declarations, "fc2", "fc1"),
        "parameters": (net.parameters, "conv1.wieght", "conv1.weight"),
        "inputs": (net.inputs, "inputs", "input"),
    }[table]
    with pytest.raises(KeyError) as caught:
        entries[wrong]
    assert isinstance(caught.value, UnknownNameError)
    assert "tiny" in caught.value.what and wrong in caught.value.what
    assert repr(near) in caught.value.fix and near in caught.value.why


def test_a_builder_names_the_nearest_value_too():
    build = st.Builder("two", input={"left": (3, 8, 8), "right": (4,)})
    for entries in (build.inputs, _Specs(build)):
        with pytest.raises(UnknownNameError, match="'lft'") as caught:
            entries["lft"]
        assert "'left'" in caught.value.fix


class _Specs:
    def __init__(self, build):
        self.build = build

    def __getitem__(self, name):
        return self.build.spec(name)


def test_a_table_by_name_is_a_dict_in_all_else():
    table = Named({"a": 1}, "it", "entry")
    for same in (copy.deepcopy(table), pickle.loads(pickle.dumps(table)), copy.copy(table)):
        assert same == {"a": 1} and isinstance(same, Named)
        with pytest.raises(KeyError, match="no entry 'b'"):
            same["b"]
    assert table.get("b") is None and "b" not in table


@pytest.mark.parametrize("model", ["resnet18", "7x7x1 -> conv 3x3 /3", "8x8x3 -> conv 9x9 -> relu"])
def test_a_network_prints_the_table_of_show(model):
    shown = run("show", model)
    assert shown.code == 0
    assert f"{st.load(model)}\n" == shown.out


def test_a_table_reads_no_settings(tmp_path, monkeypatch):
    before = str(st.parse("7x7x1 -> conv 3x3 /3"))
    (tmp_path / "pyproject.toml").write_text('[tool.striate]\nselect = ["X"]\n')
    monkeypatch.chdir(tmp_path)
    assert str(st.parse("7x7x1 -> conv 3x3 /3")) == before and "G002" in before
    assert "G002" not in run("show", "7x7x1 -> conv 3x3 /3").out


def test_the_table_is_there_whatever_was_imported_first():
    code = (
        "from striate.network import Builder; from striate.ops import Relu; b = Builder(); b(Relu(), b.input)"
    )
    code += "; print(b.build())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "relu1" in answer.stdout and not answer.stderr


@pytest.mark.parametrize("model", ["lenet5", "8x8x3 -> conv 9x9 -> relu", '8x8x3 -> "<b>&": relu'])
def test_a_notebook_shows_a_table(model):
    net = st.load(model)
    html = net._repr_html_()
    document = ElementTree.fromstring(f"<div>{html}</div>")  # well-formed, whatever names hold
    rows = document.findall(".//tbody/tr")
    assert len(rows) == len(st.analyze(net).nodes) + len(net.inference.problems)
    assert [row[0].text for row in rows if row[0].text] == [node.name for node in st.analyze(net).nodes]


def test_an_unknown_op_in_a_folder_is_told_the_nearest(tmp_path):
    """An error that says more than "no network here" is not taken for a missing key of the file."""
    st.Model("8x8x3 -> conv 3x3").save(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"op": "conv"', '"op": "conw"'))
    with pytest.raises(UnknownNameError, match="no op 'conw'") as caught:
        st.load(tmp_path)
    assert "'conv'" in caught.value.fix
