"""`striate train`: from images to a run folder."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.cli.options import Model, emit, emit_json, examples, json_option, page, setting_flag
from striate.diagnostics import UsageError

if TYPE_CHECKING:
    from striate.model import Model as TrainedModel
    from striate.train.config import Config
    from striate.train.data import DataSplits
    from striate.train.run import Recorded
    from striate.views.text.page import Page


@functools.cache
def _flags() -> dict[str, list[click.Option]]:
    """One flag for every declared setting, by group. None stands for a flag that was not given."""
    from striate.train.config import options

    groups: dict[str, list[click.Option]] = {}
    for option in options():
        name, facts = setting_flag(option, Model() if option.name == "model" else None)
        groups.setdefault(option.group, []).append(click.Option([name], **facts))
    return groups


class _Train(click.Command):
    """Command whose flags are the declared settings, loaded when needed, because the declarations import numpy."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*(flag for flags in _flags().values() for flag in flags), *super().get_params(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self._section(ctx, formatter, "options", super().get_params(ctx))
        for group, flags in _flags().items():
            self._section(ctx, formatter, group, flags)

    @staticmethod
    def _section(
        ctx: click.Context, formatter: click.HelpFormatter, title: str, parameters: Iterable[click.Parameter]
    ) -> None:
        rows = [row for parameter in parameters if (row := parameter.get_help_record(ctx))]
        with formatter.section(title):
            formatter.write_dl(rows)


@click.command(
    cls=_Train,
    short_help="Train a network on images.",
    epilog=examples(
        "striate train --data digits --model lenet5 --out runs/digits",
        "striate train --data images/ --model resnet18 --epochs 30 --flip 0.5 --out runs/mine",
        "striate train --data images/ --model net.toml --find-lr",
        "striate train --config train.toml --lr 0.002 --out runs/mine",
        "striate train --resume runs/mine",
        "torchrun --nproc-per-node 2 -m striate train --data images/ --model resnet18 --out runs/mine",
    ),
)
@click.option(
    "--out", metavar="RUN", type=click.Path(), help="Run folder to write; it must not hold a run yet."
)
@click.option("--resume", metavar="RUN", type=click.Path(), help="Continue an interrupted run.")
@click.option("--config", metavar="FILE", type=click.Path(), help="Settings in TOML; flags override them.")
@click.option("--print-config", is_flag=True, help="Print the resolved configuration as TOML and exit.")
@click.option("--find-lr", is_flag=True, help="Try increasing learning rates, plot the loss, suggest a rate.")
@json_option
def command(
    out: str | None,
    resume: str | None,
    config: str | None,
    print_config: bool,
    find_lr: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Train MODEL on data, print a line per epoch, and write everything to the folder RUN.

    Flags override --config, which overrides the defaults. A catalogue model adapts to the number of classes and,
    without --input, to the image size of the data. Ctrl-C saves a checkpoint and exits with code 130; --resume
    continues with bit-identical results.
    """
    run_config, recorded = _config(out, resume, config, flags)
    if print_config:
        emit(run_config.resolved.toml())
        return 0
    trial = run_config.settings.fast_dev_run or run_config.settings.overfit_batches
    if not (out or resume or find_lr or trial):
        raise UsageError("the output folder is missing", where="striate train", fix="add --out RUN")
    from striate.engine.process_group import launch_environment
    from striate.train.interrupts import Interrupted

    rank, size = launch_environment()
    if find_lr and size > 1:
        raise UsageError(
            "--find-lr runs in one process only", where="striate train", fix="run it without torchrun"
        )
    try:
        if find_lr:
            _find(run_config, as_json)
        else:
            _train(run_config, Path(out or resume or "") if out or resume else None, recorded, as_json)
    except Interrupted as stopped:
        if not rank:
            click.echo(str(stopped), err=True)
        return stopped.exit_code
    return 0


def _config(
    out: str | None, resume: str | None, config: str | None, flags: dict[str, Any]
) -> tuple[Config, Recorded | None]:
    """Defaults < file < flags; and the record of the run that continues, if one does.

    Raises UsageError if parts exclude each other or are missing.
    """
    from striate.train.config import Config
    from striate.train.run import read_run

    if resume and (out or config):
        other = "--out" if out else "--config"
        raise UsageError(
            f"--resume and {other} exclude each other",
            where="striate train",
            why=f"{resume} continues in its folder with its settings",
            fix=f"leave out {other}",
        )
    recorded = read_run(Path(resume)) if resume else None
    if recorded:
        run_config = recorded.config
    else:
        run_config = Config.read(Path(config)) if config else Config()
    run_config = run_config.replace_flags(flags)
    for name in ("data", "model"):
        if not getattr(run_config.job, name) and not (resume and name == "model"):
            raise UsageError(
                f"there is no {name} to train {'on' if name == 'data' else ''}".rstrip(),
                where="striate train",
                why=f"neither --{name} nor --config names one",
                fix="--data digits" if name == "data" else "--model lenet5",
            )
    return run_config, recorded


def _train(config: Config, out: Path | None, recorded: Recorded | None, as_json: bool) -> None:
    from striate.engine.process_group import launch_environment
    from striate.terminal import Bar
    from striate.train.fitting import fit_model
    from striate.views.text.training import TrainingView, draw_head, draw_result, train_record

    parts = _data(config)
    model, notes = _model(config, parts, recorded)
    with Bar() as bar:
        view = TrainingView(
            page,
            _print_to_stderr if as_json else _print_page,
            bar,
            lambda head, event: draw_head(head, event, config, out),
        )
        history = fit_model(model, parts, config, out=out, recorded=recorded, notes=notes, callbacks=[view])
    if launch_environment()[0]:
        return  # only the first of several processes prints
    assert view.prepared is not None  # the first event
    record = train_record(
        model.net, model.classes, view.prepared, history, out, _next(config, bool(parts.test), out)
    )
    if as_json:
        emit_json(record)
        return
    ended = page()
    draw_result(ended, record)
    emit(ended)


def _next(config: Config, has_test: bool, out: Path | None) -> str:
    """The next command after this run."""
    from shlex import quote

    if out is None:
        flags = [f"--data {quote(config.job.data)}", f"--model {quote(config.job.model)}"]
        return f"striate train {' '.join(flags)} --out RUN"
    where = quote(str(out))
    return f"striate eval {where}" if has_test or config.job.validation else f"striate predict {where} IMAGE"


def _data(config: Config) -> DataSplits:
    from striate.train.arguments import open_parts

    job = config.job
    return open_parts(job.data, job.validation or None, config.settings.seed, job.on_bad)


def _model(
    config: Config, parts: DataSplits, recorded: Recorded | None
) -> tuple[TrainedModel, tuple[str, ...]]:
    """The network of a run, or the named one, adapted to the data; and notes."""
    from striate.model import Model
    from striate.train.adapt_network import adapt_network

    job, seed = config.job, config.settings.seed
    if recorded is not None:
        return Model(recorded.net, seed, engine=job.engine, device=job.device), ()
    adapted = adapt_network(job.model, parts.train, job.input)
    return Model(adapted.net, seed, engine=job.engine, device=job.device), adapted.notes


def _find(config: Config, as_json: bool) -> None:
    from shlex import quote

    from striate.train.fitting import find_model_rate
    from striate.views.text.finder import curve_record, draw

    parts = _data(config)
    model, _ = _model(config, parts, None)
    curve = find_model_rate(model, parts, config.settings)
    again = f"striate train --data {quote(config.job.data)} --model {quote(config.job.model)}"
    record = curve_record(curve, again)
    if as_json:
        emit_json(record)
        return
    out = page()
    draw(out, record)
    emit(out)


def _print_page(text: Page) -> None:
    """Print a page to standard output at once."""
    emit(text)
    sys.stdout.flush()


def _print_to_stderr(text: Page) -> None:
    """Print a page to standard error, because standard output holds JSON."""
    click.echo(str(text), err=True, nl=False)
