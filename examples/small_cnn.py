"""Design a small CNN with the builder, look at its facts, and let the checks read it.

A finding names the line of this file that defines the node, so that an editor can jump there.
"""

import striate as st
from striate.ops import BatchNorm, Conv, Dropout, Flatten, Linear, MaxPool, Relu

b = st.Builder("digits", input=(1, 28, 28))  # channels, height, width, as in PyTorch
x = b.input
for stage, filters in enumerate((16, 32), start=1):
    with b.scope(f"stage{stage}"):
        x = b(Conv(filters, kernel=3, padding="same"), x, name="conv")
        x = b(BatchNorm(), x, name="bn")
        x = b(Relu(), x, name="relu")
        x = b(MaxPool(2), x, name="pool")
x = b(Dropout(0.2), b(Flatten(), x))
net = b.build(b(Linear(10), x, name="head"))

facts = st.analyze(net)
for node in facts.nodes:
    field = node.receptive_field["h"]
    print(
        f"{node.name:12} {node.output!s:>8} {node.params:7,} params {node.macs:9,} MACs, field {field.size}"
    )
totals = facts.totals
print(f"{totals.params:,} parameters, {totals.macs:,} MACs, {totals.peak_bytes:,} bytes at the peak\n")

for finding in st.check(net).findings:
    line = finding.place.line if finding.place else "?"
    print(f"line {line}: {finding.code} {finding.node}: {finding.message}; {finding.fixes[0].text}")
