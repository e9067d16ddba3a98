"""Which image sizes suit a U-Net? Solved through the whole graph, skip connections included, instead of tried.

The U-Net of 2015 has no padding, so its input must leave every map even before it is halved; a padded one
takes multiples of 16. A wrong size fails in the middle of the network, at the concatenation, or loses rows.
"""

import striate as st

for name in ("unet", "unet_padded"):
    found = st.sizes(st.create(name), near=512)
    print(f"{name:12} {found.axes['h'].rule:26} near 512: {', '.join(map(str, found.nearest))}")

size = st.sizes(st.create("unet"), near=512).nearest[0]
net = st.create("unet", input=(1, size, size))
print(f"\nunet at {size}x{size}: out comes {net.specs[net.outputs[0]]}")

net = st.create("unet_padded", input=(3, 500, 500))
report = st.check(net)
print(f"\nunet_padded at 500x500: failed {report.failed}")
for finding in report.findings:
    if finding.severity == "error":
        print(f"{finding.code} {finding.node}: {finding.message}")
        print("  " + " or ".join(fix.text for fix in finding.fixes))
