"""A run's configuration file: the model and the data (`Job`), and the settings (`Settings`, the table [train]).

    model = "lenet5"
    data = "images/"

    [train]
    epochs = 20

Defaults < file < flags. The resolved configuration is printed, and saved with the run in the same form.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, UnknownNameError, suggest
from striate.engine.registry import ENGINES
from striate.fields import Declared, Option, choice, text
from striate.fields import markdown as table
from striate.fields import options as declared
from striate.files import parse_toml, read_bytes
from striate.train import settings as _settings
from striate.train.settings import Settings

TABLE = "train"
_JOB = "job"


@dataclasses.dataclass(frozen=True)
class Job(Declared):
    """The model and the data of a run."""

    model: str = text("", "a MODEL: catalogue name, file or notation", _JOB)
    data: str = text("", "a folder, file, or sample set", _JOB)
    validation: str = text("", "data to validate on; empty: a part of the training data", _JOB)
    input: str = text(
        "",
        "input size, such as 32x32x3; several inputs: left=32x32x3,right=64; empty: the size of the images, or "
        "as the model declares",
        _JOB,
    )
    engine: str = choice(
        "auto",
        ENGINES,
        "compiled: machine code for this processor; numpy: runs everywhere; torch: PyTorch",
        _JOB,
    )
    device: str = text(
        "", "device of the torch engine: cpu, cuda, cuda:1, mps; empty: a GPU if there is one", _JOB
    )
    on_bad: str = choice("skip", ("skip", "refuse"), "skip unreadable images, or refuse the data", _JOB)


@dataclasses.dataclass(frozen=True)
class Config:
    """A job and its settings."""

    job: Job = dataclasses.field(default_factory=Job)
    settings: Settings = dataclasses.field(default_factory=Settings)

    @classmethod
    def read(cls, path: Path) -> Config:
        """The configuration of a TOML file. Raises SourceError, FormatError, UnknownNameError, UsageError."""
        return cls.parse(read_bytes(path), path)

    @classmethod
    def parse(cls, content: bytes, path: Path) -> Config:
        """Read a configuration from the content of a TOML file. path: for its messages. Raises as `read`."""
        document = parse_toml(content, path)
        table = document.pop(TABLE, {})
        if not isinstance(table, Mapping):
            raise FormatError(f"{TABLE} is not a table", where=str(path), fix=f"write [{TABLE}]")
        jobs = {field.name for field in dataclasses.fields(Job)}
        for key in document:
            if key not in jobs:
                names = [*jobs, *(option.name for option in _settings.options())]
                near = suggest(key.replace("-", "_"), names)
                fix = f"did you mean {near}?" if near else f"remove {key}"
                if near and near not in jobs:
                    fix = f"write {near} below [{TABLE}]"
                why = f"outside of [{TABLE}] there are {', '.join(sorted(jobs))}"
                raise UnknownNameError(f"no such key: {key}", where=str(path), why=why, fix=fix)
        settings = Settings().replace(table, f"{path} [{TABLE}]")
        return cls(Job().with_values(document, str(path)), settings)

    def replace_flags(self, flags: Mapping[str, Any]) -> Config:
        """A copy updated with command-line flags, by names of `options`; None means that a flag was not given."""
        jobs = {field.name for field in dataclasses.fields(Job)}
        job = {name: value for name, value in flags.items() if name in jobs and value is not None}
        rest = {name: value for name, value in flags.items() if name not in jobs}
        return Config(
            self.job.with_values(job, "striate train", texts=True), self.settings.replace_flags(rest)
        )

    @property
    def resolved(self) -> Config:
        """The same with a value for every "auto" of the settings."""
        return Config(self.job, self.settings.resolved)

    def toml(self) -> str:
        """The configuration as a file that `read` accepts."""
        return f"{self.job.toml()}\n[{TABLE}]\n{self.settings.toml()}"


def options() -> Iterator[Option]:
    """All options of a configuration, in order; flags are derived from them."""
    yield from declared(Job)
    yield from _settings.options()


def markdown() -> str:
    """All options of a configuration as one page (docs/settings.md)."""
    parts = [PAGE]
    for group, members in itertools.groupby(options(), key=lambda option: option.group):
        parts.append(f"\n## {group}\n\n{table(members)}")
    return "\n".join(parts) + "\n"


PAGE = """# Settings of a training run

[Documentation](../README.md#documentation)

Every setting of `Model.fit` and `striate train`, with its default and what it takes.

A file (`--config FILE`) overrides the defaults, and flags override the file. A run folder stores its settings in
`config.toml`, which has the same form. The keys of the job are at the top, all others in `[train]`:

```toml
model = "lenet5"
data = "images/"

[train]
epochs = 20
lr = 0.002
```

`auto` means that the value is derived from the others; the resolved value is printed and saved. In Python the same
names are keyword arguments: `model.fit(train, epochs=20, lr=0.002)`. Lists are `[1, 2]` in TOML and `1,2` in a flag.
[training.md](training.md) describes training runs."""
