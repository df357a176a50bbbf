"""`voice-mcp models`: weights for listening and speaking on this machine. Nothing else ever fetches any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from voice_mcp.cli.fetching import Watcher, bring, is_address
from voice_mcp.cli.house import read_settings
from voice_mcp.cli.output import AsJson, print_json, print_table, standard_error, visible, warn
from voice_mcp.download import is_local
from voice_mcp.errors import InvalidInput
from voice_mcp.settings import Settings
from voice_mcp.storage.model_catalogue import CATALOGUE
from voice_mcp.storage.model_entry import Model, WeightFile
from voice_mcp.storage.models import Models

Name = Annotated[str, typer.Argument(help="Its name, as `voice-mcp models list` has it.")]
Source = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="A file, or a mirror's address, instead of where it comes from; for a model of several files a folder.",
    ),
]


def models(catalogue: Sequence[Model] = CATALOGUE) -> typer.Typer:
    """The commands that deal with the weights of ``catalogue``."""
    commands = typer.Typer(help="Weights for listening and speaking on this machine.", no_args_is_help=True)

    @commands.command("list")
    def _list(as_json: AsJson = False) -> None:
        """List what can be installed, and what is."""
        _show(Models(read_settings().base_dir, catalogue), as_json=as_json)

    @commands.command()
    def install(name: Name, source: Source = None) -> None:
        """Fetch a model, check it, and keep it. Goes on where it stopped, and replaces what is damaged."""
        settings = read_settings()
        _install(settings, Models(settings.base_dir, catalogue), name, source)

    @commands.command()
    def remove(name: Name) -> None:
        """Remove a model from the disk."""
        if Models(read_settings().base_dir, catalogue).remove(name):
            typer.echo(f"{name} is removed.")
        else:
            warn(f"{name} was not installed.")

    return commands


def _show(store: Models, *, as_json: bool) -> None:
    rows = [(model, store.path(model.name)) for model in store.catalogue]
    if as_json:
        print_json(
            [
                {
                    "name": model.name,
                    "size_bytes": model.size_bytes,
                    "purpose": model.purpose,
                    "licence": model.licence,
                    "about": model.about,
                    "files": [
                        {
                            "file": each.file,
                            "size_bytes": each.size_bytes,
                            "sha256": each.sha256,
                            "address": each.address,
                        }
                        for each in model.files
                    ],
                    "path": path,
                }
                for model, path in rows
            ]
        )
        return
    print_table(
        ("MODEL", "SIZE", "INSTALLED", "FOR", "LICENCE", "WHAT"),
        [
            (
                *(model.name, f"{model.size_bytes / 1e6:.0f} MB", "yes" if path else "no"),
                *(model.purpose.value, model.licence, model.about),
            )
            for model, path in rows
        ],
        styles=("bold", "", "green", "", "dim", ""),
        rigid=("MODEL", "SIZE"),
    )


def _install(settings: Settings, store: Models, name: str, source: str | None) -> None:
    model = store.known(name)
    missing = [(file, _source(model, file, source)) for file in model.files if not store.is_intact(file)]
    if not missing:
        typer.echo(f"{name} is installed: {visible(store.path(name) or store.folder)}")
        return
    if settings.offline and any(is_address(wanted) and not is_local(wanted) for _, wanted in missing):
        raise InvalidInput(
            "Nothing is fetched while VOICEMODE_OFFLINE is set.", hint="Unset it, or give a file with `--from PATH`."
        )
    typer.echo(f"{name}: {model.about}; {model.size_bytes / 1e6:.0f} MB. Licence: {model.licence}.")
    for file, wanted in missing:
        if store.holds(file):
            warn(f"{file.file} is damaged; it is replaced.")
        try:
            with _progress(file) as watch:
                path = bring(store, file, wanted, watch)
        except KeyboardInterrupt:
            warn(f"{name} is not installed yet. The same command goes on where it stopped.")
            raise
    typer.echo(f"{name} is installed: {visible(store.path(name) or path)}")


def _source(model: Model, file: WeightFile, source: str | None) -> str:
    """Where a file comes from: a folder is asked for what it is called there, which is what it is called here."""
    if source is None:
        return file.address
    if len(model.files) == 1:
        return source
    return f"{source.rstrip('/')}/{file.file}" if is_address(source) else str(Path(source) / file.file)


@contextmanager
def _progress(file: WeightFile) -> Iterator[Watcher]:
    """A bar on a terminal, nothing in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = standard_error()
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(file.file, total=file.size_bytes)
        yield lambda size_bytes: bar.update(task, completed=size_bytes)
