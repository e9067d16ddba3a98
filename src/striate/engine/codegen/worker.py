"""A child process that compiles kernels: `compiling.py` talks to it over standard input and output.

In: a line of the target's fields, then a line [template, numbers] for each kernel, all JSON. Out, for each: one byte
(= code, ! a message), the length in 8 bytes, then the object code or the message. It ends with its input.
"""

from __future__ import annotations

import json
import os
import struct
import sys

REPLY = "<cQ"
CODE, MESSAGE = b"=", b"!"


def main() -> None:
    """Serve compile requests from stdin until it closes."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints must not mix with the replies
    from striate.engine.codegen import llvm
    from striate.engine.codegen.kernel import Kernel
    from striate.engine.target import Target

    fields = json.loads(sys.stdin.buffer.readline())
    target = Target(**{**fields, "tiles": tuple(fields["tiles"])})
    for line in sys.stdin.buffer:
        template, numbers = json.loads(line)
        try:
            kind, reply = CODE, llvm.object_code(target, Kernel(template, tuple(numbers)).text(target))
        except Exception as error:
            kind, reply = MESSAGE, f"{type(error).__name__}: {error}".encode()
        out.write(struct.pack(REPLY, kind, len(reply)) + reply)
        out.flush()
