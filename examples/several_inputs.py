"""A network with several inputs: two images that are compared, and a vector. Every tool takes them by name."""

import numpy as np

import striate as st
from striate.network import Ref
from striate.ops import Abs, Add, Affine, Concat, Conv, Flatten, Linear, MaxPool, Relu

b = st.Builder("pair", input={"left": (1, 12, 12), "right": (1, 12, 12), "extra": (3,)})


def see(x: Ref, name: str) -> Ref:
    return b(MaxPool(2), b(Relu(), b(Conv(4, kernel=3, padding=1), x, name=name)))


left, right = see(b.inputs["left"], "see left"), see(b.inputs["right"], "see right")
apart = b(Abs(), b(Add(), left, b(Affine(scale=-1.0), right)), name="apart")
net = b.build(b(Linear(2), b(Concat(), b(Flatten(), apart), b.inputs["extra"])))

fields = st.analyze(net).node("apart").fields_by_input
for name, spec in net.inputs.items():
    print(f"{name}: {spec}; a unit of apart sees", {axis: field.size for axis, field in fields[name].items()})
print("left and right may be", st.sizes(net, near=30, input="left").axes["h"].rule)
print("unread pixels of right:", st.pixels(net, input="right").unread)

rng = np.random.default_rng(0)
x = {
    "left": rng.integers(0, 256, (200, 1, 12, 12), np.uint8),
    "right": rng.integers(0, 256, (200, 1, 12, 12), np.uint8),
    "extra": rng.normal(size=(200, 3)),
}
y = (x["extra"][:, 0] > 0).astype(int)
model = st.Model(net, seed=0)
model.fit((x, y), epochs=30, lr=0.05, seed=0, verbose=0)
print(
    "images are normalized:", sorted(name for name, one in model.transform["inputs"].items() if one["steps"])
)
print("learned:", model.evaluate((x, y)).accuracy > 0.9)
print("the same by name and in order:", np.array_equal(model.predict(x), model.predict(*x.values())))
