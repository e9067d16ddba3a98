"""Two branches that look at different places of the image, and the change of padding that brings them together.

Frameworks merge them without a word: the shapes agree. R001 says by how many pixels they are apart.
"""

import dataclasses

import striate as st
from striate.ops import Add, Conv, MaxPool, Relu

b = st.Builder("two branches", input=(16, 32, 32))
left = b(Conv(16, kernel=3, padding=1), b.input, name="left")
right = b(MaxPool(3, stride=1, padding=1), b.input, name="pool")
# One row and one column more on top and on the left than below and on the right: the branch looks elsewhere.
right = b(Conv(16, kernel=3, padding=((2, 0), (2, 0))), right, name="right")
net = b.build(b(Relu(), b(Add(), left, right, name="sum")))


def report(net: st.Network) -> list[st.Network]:
    """Print what R001 finds; return the network of each fix that it computed."""
    findings = [finding for finding in st.check(net).findings if finding.code == "R001"]
    for finding in findings:
        print(finding.message, "|", finding.why)
    if not findings:
        print("aligned:", all(node.aligned for node in st.analyze(net).nodes))
    fixes = [fix for finding in findings for fix in finding.fixes if fix.node]
    for fix in fixes:
        print(" ", fix.text)
    return [net.replace(fix.node, dataclasses.replace(net.node(fix.node).op, **fix.change)) for fix in fixes]


(cured, *_) = report(net)
report(cured)
