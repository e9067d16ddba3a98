"""The numbers of a lecture on convolutional networks, in Python: sizes, strides, padding, pixel use, costs."""

import striate as st


def grid(net: st.Network) -> str:
    return "\n".join("   " + " ".join(f"{count:2}" for count in row) for row in st.pixels(net).counts)


for stride in (1, 2, 3):
    net = st.parse(f"7x7x1 -> conv 3x3 /{stride}")
    faults = [finding.why for finding in st.check(net).findings if finding.code == "G002"]
    print(f"7x7, filter 3x3, stride {stride}: {net.specs['conv1']}", *faults)

net = st.parse("32x32x3 -> conv 5x5 6")
depth, height, width = net.parameters["conv1.weight"].shape[1:]
print(f"32x32x3, six filters 5x5: {net.specs['conv1']}, each filter {height}x{width}x{depth}")

for f in (3, 5, 7):
    window = st.analyze(st.parse(f"32x32x3 -> conv {f}x{f} 6 pad same")).nodes[0].windows["h"]
    print(f"F = {f}: P = (F - 1)/2 = {window.before} keeps {window.output}")

for text in ("3x3x1 -> conv 2x2", "5x5x1 -> conv 3x3"):
    print(f"windows that use each pixel, {text}:\n{grid(st.parse(text))}")
for pad in ("0", "1", "full"):
    use = st.pixels(st.parse(f"5x5x1 -> conv 3x3 pad {pad}"))
    print(f"pad {pad}: the corner is used {use.at(0, 0)} times, the center {use.at(2, 2)} times")

for name, text in (("conv", "32x32x3 -> conv 5x5 6"), ("fc", "32x32x3 -> flatten -> fc 4704")):
    totals = st.analyze(st.parse(text)).totals
    print(f"{name:4} onto 28x28x6 numbers: {totals.params:10,} parameters {totals.macs:10,} MACs")
