"""The `regie` command, and the composition root: the one place that knows all the parts.

Only here is a broker picked, a database started and a room made; what they do stands elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.cli import dead_letters, operations
from services.cli.client import DataDir
from services.cli.doctor import doctor
from services.cli.erasures import erasures
from services.cli.keys import keys
from services.cli.policy import policy
from services.cli.targets import targets

if TYPE_CHECKING:
    from shared.accounts import Accounts
    from shared.broker import Broker
    from shared.ops import Reader
    from shared.runtime import Runtime, Service
    from shared.serving import Step
    from shared.settings import Settings

ROOMS: Final = ("ingest", "router", "notifier")

app = typer.Typer(
    name="regie",
    help="Every request reaches the team that can answer, with its reply deadline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(keys, name="keys")
app.add_typer(policy, name="policy")
app.add_typer(dead_letters.commands, name="dead-letters")
app.add_typer(operations.positions, name="positions")
app.add_typer(targets, name="targets")
app.add_typer(erasures, name="erasures")
app.command()(operations.lag)
app.command()(doctor)


def main() -> None:
    app()


@app.command()
def serve(
    services: Annotated[
        list[str] | None, typer.Argument(help="ingest, router, notifier; none named: all three.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Default: REGIE_DATA_DIR, or .regie; a demo has .regie-demo."),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Demo accounts, policy and living traffic.")
    ] = False,
) -> None:
    """Run the services in one process."""
    names = _named(services)
    env = dict(os.environ)
    if demo:
        from services.demo import demo_files

        if data_dir is None and "REGIE_DATA_DIR" not in env:
            data_dir = Path(".regie-demo")  # a made-up shop has no place among real customers

        channels, policy_file, made_up = demo_files()
        files = {"REGIE_CHANNELS_FILE": str(channels), "REGIE_POLICY_FILE": str(policy_file)}
        env = {**made_up, **files, **env}
    place = Place(names, host, port, data_dir, demo)
    sys.exit(_run(place, env))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version. `serve` does it too."""
    from sqlalchemy import text

    from services.cli.database import in_database

    # Whoever is given the database is given it migrated.
    in_database(data_dir, lambda connection: connection.execute(text("SELECT 1")))
    typer.echo("the database is at this version")


@dataclass(frozen=True)
class Place:
    """What `serve` was asked for."""

    services: Sequence[str]
    host: str
    port: int
    data_dir: Path | None
    demo: bool


def _named(services: Sequence[str] | None) -> Sequence[str]:
    unknown = sorted(set(services or ()) - set(ROOMS))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(ROOMS)}")
    return [name for name in ROOMS if not services or name in services]


# --- composition -----------------------------------------------------------------------------


def _run(place: Place, env: Mapping[str, str]) -> int:
    """The exit status: 0 after a signal, 1 when a part died, 2 when a person has to mend it."""
    from shared.settings import read_settings
    from shared.telemetry import configure_logs

    try:
        settings = read_settings(env, data_dir=place.data_dir)
        configure_logs(settings.log_format)
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_serve(place, settings, env))
    except Exception as error:
        return _explain(_leaves(error))
    return 0


def _loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def _explain(errors: Sequence[BaseException]) -> int:
    from shared.embedded import EmbeddedError
    from shared.errors import Misconfigured

    for error in errors:
        if isinstance(error, Misconfigured | EmbeddedError):
            typer.echo(f"regie: {error}", err=True)
            return 2
    names = ", ".join(sorted({type(error).__name__ for error in errors}))
    typer.echo(f"regie: ended by {names}: see the log above", err=True)
    return 1


async def _serve(place: Place, settings: Settings, env: Mapping[str, str]) -> None:
    from services.cli.channels import read_accounts
    from services.cli.database import serving_database
    from shared.serving import address_of, listen, serve, stop_on_signals

    # What a person may have to mend comes first, before a database is started.
    accounts = read_accounts(settings.channels_file, env)
    listener = listen(place.host, place.port)
    address = address_of(listener)
    with stop_on_signals() as stop:
        async with serving_database(settings, stop) as postgres:
            if stop.is_set():
                return
            runtime = _runtime(settings, postgres.url, accounts)
            typer.echo(_greeting(address, runtime, place), err=True)
            await serve(
                runtime,
                _services(place.services, runtime),
                listener,
                stop=stop,
                prepare=_steps(runtime, postgres.url, place.services),
                tasks=[*postgres.tasks, *_demo_tasks(place, runtime, address, env)],
                reader=_reader(runtime),
            )


def _runtime(settings: Settings, url: str, accounts: Accounts) -> Runtime:
    from shared.blobs import open_blobs
    from shared.database import connect
    from shared.runtime import Runtime

    return Runtime(
        settings=settings,
        engine=connect(url),
        broker=_broker(settings, url),
        blobs=open_blobs(settings),
        accounts=accounts,
    )


def _broker(settings: Settings, url: str) -> Broker:
    if settings.kafka_bootstrap:
        from shared.broker.kafka import KafkaBroker

        return KafkaBroker(settings)
    from shared.broker.postgres import PostgresBroker

    return PostgresBroker(url)


def _services(names: Sequence[str], runtime: Runtime) -> list[Service]:
    from shared.ops import dead_letter_subscription
    from shared.runtime import Service

    rooms = [_room(name)(runtime) for name in names]
    from services.notifier.letters import TOPIC, replay

    # Every process answers for the dead letters; one consumer, the router's, brings them in.
    letters = (dead_letter_subscription(runtime),) if "router" in names else ()
    rooms.append(Service(name="dead-letters", subscriptions=letters, replays={TOPIC: replay}))
    return rooms


def _room(name: str) -> Callable[[Runtime], Service]:
    # Imported when it is wanted, so that a process of one room is as small as it can be.
    if name == "ingest":
        from services.ingest.service import service as ingest

        return ingest
    if name == "router":
        from services.router.service import service as router

        return router
    from services.notifier.service import service as notifier

    return notifier


def _steps(runtime: Runtime, url: str, names: Sequence[str]) -> list[Step]:
    from shared.database import migrate as migrate_to_head

    log: Step = ("log", runtime.broker.start)
    if list(names) == ["ingest"] and runtime.settings.kafka_bootstrap:
        # Webhooks are accepted while the database is away, from the first moment on.
        return [log]
    return [("database", lambda: migrate_to_head(url)), log]


def _reader(runtime: Runtime) -> Reader:
    from services.ingest.rereading import Rereading

    return Rereading.of(runtime)


def _demo_tasks(place: Place, runtime: Runtime, address: str, env: Mapping[str, str]) -> list[Step]:
    if not place.demo:
        return []
    from services.demo import traffic

    return [("demo traffic", lambda: traffic(address, runtime, env))]


def _greeting(address: str, runtime: Runtime, place: Place) -> str:
    lines = [f"Regie listens on {address}"]
    if not len(runtime.accounts):
        lines.append("No accounts: name a channels file in REGIE_CHANNELS_FILE to receive messages")
    if not runtime.settings.admin_key and not place.demo:
        there = f" --data-dir {place.data_dir}" if place.data_dir else ""
        lines.append(f"A first key: regie keys create --role admin{there}")
    return "\n".join(lines)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


if __name__ == "__main__":
    main()
