"""What this installation and machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.doctor_record import missing_command
from striate.views.text.number_format import size
from striate.views.text.page import Column, Page, Row, Text

if TYPE_CHECKING:
    from striate.views.schemas.machines import CodeCache, Doctor, Kernels


def draw(page: Page, record: Doctor) -> None:
    """record: striate.doctor/1."""
    page.title(f"Striate {record['striate']}")
    cpu, threads = record["cpu"], record["threads"]
    quota = f"container quota {threads['quota']:g}" if threads["quota"] is not None else "no quota"
    page.fields(
        [
            ("python", f"{record['implementation']} {record['python']}"),
            ("system", record["system"]),
            ("processor", cpu["name"]),
            ("vectors", " ".join(cpu["features"]) or "unknown on this system"),
            ("threads", [(str(threads["useful"]), "bold"), f" usable: {threads['present']} present, "
            f"{threads['affinity']} allowed for this process on {plural(threads['cores'], 'core')}, {quota}"]),
            *_engine(record["kernels"], record["cache"]),
        ]
    )  # fmt: skip
    page.line()
    if not record["packages"]:
        page.line(
            "no package metadata: Striate runs from its source tree without being installed (pip install -e .)",
            2,
        )
        return
    rows = []
    for package in record["packages"]:
        version = package["version"]
        style = "" if version else "dim" if package["extra"] else "red"
        rows.append(Row((package["name"], version or "missing", package["extra"] or "base"), style=style))
    page.table([Column("package"), Column("version"), Column("part")], rows, indent=2)
    page.line()
    if any(not package["extra"] and not package["version"] for package in record["packages"]):
        page.line([("base packages are missing: ", "red"), "pip install --upgrade striate"], 2)
    install = missing_command(record)
    page.line(f"optional packages: {install}" if install else "all optional packages are installed", 2)


def _engine(kernels: Kernels, cache: CodeCache) -> list[tuple[str, Text]]:
    """Compiled kernels: for which processor, by which LLVM, and the cache folder."""
    code: Text
    if kernels["target"]:
        others = ", ".join(name for name in kernels["able"] if name != kernels["target"])
        text = f": {kernels['vector']}-bit vectors, blocks of {kernels['block']} channels, "
        text += f"LLVM {kernels['llvm']}"
        code = [(kernels["target"], "bold"), text + (f" (also supported: {others})" if others else "")]
    else:
        code = [("none: ", "red"), f'{kernels["why"]}; engine="numpy" runs everywhere']
    folder = cache["folder"] or "nowhere"
    if not cache["usable"]:
        folder += f": not used, {cache['why']}"
    elif cache["owner"] is None:
        folder += ": created when first needed"
    else:
        files = plural(cache["files"], "kernel")
        folder += f": {files}, {size(cache['bytes'])}, owner {cache['owner']}, mode {cache['mode']}"
    return [("kernels", code), ("stored in", folder)]


def draw_cleared(page: Page, record: Doctor, files: int, bytes: int) -> None:
    """The result of --clear-cache."""
    result = f"{plural(files, 'compiled kernel')} removed, {size(bytes)}" if files else "nothing to remove"
    page.line(f"{record['cache']['folder'] or 'no cache'}: {result}")
