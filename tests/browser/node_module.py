"""The built module of the live page under Node: what it computes of cases that Python gives."""

import json
import subprocess
from pathlib import Path

BUILT = Path(__file__).parents[2] / "src" / "striate" / "views" / "static" / "striate.js"


def compute(body, cases):
    """What the body of a function of `page` (the module, with the experiment) and `cases` returns. One process."""
    script = f"""
        await import({json.dumps(BUILT.with_name("experiment.js").as_uri())})
        const page = await import({json.dumps(BUILT.as_uri())})
        let text = ""
        for await (const part of process.stdin) text += part
        const run = (page, cases) => {{ {body} }}
        console.log(JSON.stringify(run(page, JSON.parse(text))))
    """
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps(cases), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
