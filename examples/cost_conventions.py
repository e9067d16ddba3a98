"""Why do cost tools disagree about the same network? The conventions side by side, and the reasons line by line."""

import striate as st
from striate.analysis import reconcile

net = st.create("resnet50")
table = reconcile(net)
for convention, count in table.totals.items():
    print(f"{convention:12} {count:14,}  {count / table.totals['striate'] - 1:+7.2%}")

print("\nkind     fvcore minus striate, and why")
for row in table.summary:
    if "fvcore" in row.differences:
        print(f"{row.op:8} {row.differences['fvcore']:+12,}  {row.reasons['fvcore']}")

print("\nthe dearest nodes")
for row in sorted(table.rows, key=lambda row: -row.counts["striate"])[:3]:
    print(f"{row.node:16} {row.counts['striate']:12,}")
