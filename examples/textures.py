"""A small network learns to tell brick, grass and gravel apart, and is judged on the halves it has not seen.

The photographs are inside a wheel of the samples: pip install '.[samples]'
"""

import striate as st
from striate.train.data import open_data

net = st.parse("""32x32x1
    -> conv 5x5 8 bias off -> bn -> relu -> maxpool 2
    -> conv 3x3 16 bias off -> bn -> relu -> maxpool 2
    -> conv 3x3 32 bias off -> bn -> relu -> gap -> flatten -> fc 3""")
print(f"{st.analyze(net).totals.params:,} learned numbers; it fits: {not st.check(net).failed}")

parts = open_data("textures")
print(parts.found)

model = st.Model(net, seed=0)
history = model.fit(
    parts.train,
    parts.validation,
    epochs=6,
    batch_size=32,
    lr=0.01,
    schedule="onecycle",
    keep="last",
    flip=0.5,
    verbose=0,
)
found = model.evaluate(parts.test)

print(
    f"{len(history)} epochs; at least 95 % of {found.images} unseen crops are right: {found.accuracy >= 0.95}"
)
