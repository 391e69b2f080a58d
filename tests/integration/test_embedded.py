"""The embedded PostgreSQL: real servers, real signals, real folders."""

# ruff: noqa: ASYNC110, ASYNC220, ASYNC221 - a test may hold up its own loop

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.embedded import DirectoryInUse, EmbeddedError, EmbeddedPostgres
from shared.embedded.account import choose
from shared.embedded.cluster import serve
from shared.embedded.folder import Folder
from shared.embedded.install import find
from shared.embedded.log import Log

pytestmark = pytest.mark.alone
ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to run it as")

# Holds a directory until SIGTERM; commits a row first if it is told to.
HOLDER = """
import asyncio, signal, sys
from pathlib import Path
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from shared.embedded import EmbeddedPostgres

async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    engine = create_async_engine(await postgres.start())
    async with engine.begin() as connection:
        for statement in sys.argv[2:]:
            await connection.execute(text(statement))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(postgres.pid, flush=True)
    await ended.wait()
    await engine.dispose()
    await postgres.stop()

asyncio.run(main())
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A data directory on which, whatever the test did, no server is left behind."""
    path = tmp_path / ".regie"
    yield path
    for server in servers_on(path):
        server.kill()


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    postgres = EmbeddedPostgres(directory)
    url = await postgres.start()
    try:
        yield postgres, url
    finally:
        await postgres.stop()


@asynccontextmanager
async def holder(directory: Path, *statements: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another Regie, in a process of its own, once its database answers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(directory), *statements),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout
        assert int(await asyncio.wait_for(process.stdout.readline(), 20))
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def query(url: str, *statements: str) -> list[Any]:
    """Runs the statements in one transaction; the last one's first column."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        results = [await connection.execute(text(statement)) for statement in statements]
    return [row[0] for row in results[-1]] if results[-1].returns_rows else []


def servers_on(directory: Path) -> list[psutil.Process]:
    """All PostgreSQL processes, postmaster or not, that work in this directory."""
    data = directory / "postgres" / "data"
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data)
    ]


async def eventually(true: Callable[[], object], within: float = 15) -> None:
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.02)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_first_start_gives_a_url_that_sqlalchemy_opens(directory: Path) -> None:
    async with running(directory) as (postgres, url):
        assert await query(url, "SELECT current_user || '@' || current_database()") == [
            "regie@regie"
        ]
        pid = postgres.pid
        assert pid in [server.pid for server in servers_on(directory)]
    assert postgres.pid is None
    assert servers_on(directory) == []


async def test_a_later_start_keeps_what_was_committed(directory: Path) -> None:
    async with running(directory) as (_, url):
        await query(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    async with running(directory) as (_, again):
        assert again == url
        assert await query(again, "SELECT n FROM kept") == [7]


async def test_it_is_durable_private_and_sorts_bytewise(directory: Path) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "TimeZone": "UTC",
        "jit": "off",
        "server_encoding": "UTF8",
        "lc_collate": "C",
        "password_encryption": "scram-sha-256",
        "idle_in_transaction_session_timeout": "1min",
    }
    async with running(directory) as (_, url):
        for name, value in expected.items():
            show = f"SELECT current_setting('{name}', true)"
            if name == "lc_collate":
                show = "SELECT datcollate FROM pg_database WHERE datname = 'regie'"
            assert await query(url, show) == [value], name
        methods = await query(url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert methods == ["scram-sha-256"]
        inside = directory / "postgres"
        assert {mode(inside), mode(inside / "data")} == {0o700}
        socket = Path(str(make_url(url).query["host"]))
        assert mode(socket) == 0o700
        assert {mode(inside / "password"), mode(directory / "postgres.log")} == {0o600}


async def test_without_the_password_nobody_enters(directory: Path) -> None:
    async with running(directory) as (_, url):
        with pytest.raises(Exception, match="password authentication failed"):
            await query(make_url(url).set(password="guess").render_as_string(hide_password=False))


async def test_no_statement_and_no_value_reaches_the_log(directory: Path) -> None:
    async with running(directory) as (_, url):
        await query(url, "CREATE TABLE people (address text PRIMARY KEY)")
        insert = "INSERT INTO people VALUES ('canary@example.org')"
        with pytest.raises(Exception, match="unique"):
            await query(url, insert, insert)
        log = (directory / "postgres.log").read_text()
    assert "people_pkey" in log
    assert "canary" not in log


async def test_another_process_is_refused_and_told_who_holds_the_directory(
    directory: Path,
) -> None:
    async with holder(directory) as first:
        with pytest.raises(DirectoryInUse, match=f"process {first.pid}") as refused:
            await EmbeddedPostgres(directory).start()
        assert refused.value.pid == first.pid
        first.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(first.wait(), 15) == 0
    async with running(directory) as (postgres, _):
        assert postgres.pid


async def test_a_second_start_in_one_process_is_refused_and_disturbs_nothing(
    directory: Path,
) -> None:
    async with running(directory) as (postgres, url):
        with pytest.raises(DirectoryInUse, match=str(os.getpid())):
            await EmbeddedPostgres(directory).start()
        with pytest.raises(EmbeddedError, match="already"):
            await postgres.start()
        assert await query(url, "SELECT 1") == [1]


async def test_kill_start_terminate_leaves_no_server_and_loses_no_row(directory: Path) -> None:
    async with holder(directory, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)") as one:
        one.kill()
        await one.wait()
    async with holder(directory, "INSERT INTO kept SELECT n + 1 FROM kept") as two:
        two.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(two.wait(), 15) == 0
        assert servers_on(directory) == []
    async with running(directory) as (_, url):
        assert await query(url, "SELECT n FROM kept ORDER BY n") == [1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends it")
async def test_the_server_ends_with_a_killed_regie(directory: Path) -> None:
    async with holder(directory) as regie:
        assert servers_on(directory)
        regie.kill()
        await regie.wait()
        await eventually(lambda: not servers_on(directory))


async def test_a_server_left_behind_is_ended_before_a_new_one_starts(directory: Path) -> None:
    async with running(directory) as (_, url):
        await query(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    folder = Folder(directory)
    account = choose(folder.directory, folder.data)
    with Log(folder.log, account) as log:
        left = serve(folder, find(account), account, log)
    await eventually((folder.data / "postmaster.pid").exists)
    async with running(directory) as (postgres, url):
        assert postgres.pid != left.pid
        assert left.pid not in [server.pid for server in servers_on(directory)]
        assert await query(url, "SELECT n FROM kept") == [7]


async def test_the_end_of_the_server_is_noticed_and_the_next_start_recovers(
    directory: Path,
) -> None:
    async with running(directory) as (postgres, url):
        watcher = asyncio.create_task(postgres.wait(), name="watcher")
        await query(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        pid = postgres.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.wait_for(watcher, 15) == -signal.SIGKILL
        assert postgres.pid is None
    async with running(directory) as (_, url):
        assert await query(url, "SELECT n FROM kept") == [7]


async def test_a_number_in_postmaster_pid_that_is_another_programs_now(directory: Path) -> None:
    async with running(directory):
        pass
    data = directory / "postgres" / "data"
    owner = data.stat().st_uid if os.geteuid() == 0 else None
    other = subprocess.Popen(["sleep", "60"], cwd="/", user=owner)
    try:
        (data / "postmaster.pid").write_text(f"{other.pid}\n{data}\n")
        shutil.chown(data / "postmaster.pid", data.stat().st_uid)
        async with running(directory) as (_, url):
            assert await query(url, "SELECT 1") == [1]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


async def test_ctrl_c_does_not_reach_it(directory: Path) -> None:
    async with running(directory) as (postgres, _):
        assert postgres.pid
        assert os.getsid(postgres.pid) == postgres.pid


async def test_a_path_too_long_for_a_socket(directory: Path) -> None:
    deep = directory / ("long" * 20) / "löng, and with a comma"
    async with running(deep) as (_, url):
        socket = Path(str(make_url(url).query["host"]))
        assert not socket.is_relative_to(directory)
        assert mode(socket) == 0o700
        assert await query(url, "SELECT 1") == [1]
        shown = await query(url, "SELECT current_setting('unix_socket_directories')")
        assert str(socket) in shown[0]
    async with running(deep) as (_, again):
        assert again == url
    assert servers_on(deep) == []
    assert not socket.exists()


async def test_a_cancelled_start_leaves_nothing_that_runs(directory: Path) -> None:
    postgres = EmbeddedPostgres(directory)
    starting = asyncio.create_task(postgres.start(), name="starting")
    await eventually((directory / "postgres" / "data.new").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not (directory / "postgres" / "data").exists()
    async with running(directory) as (_, url):
        assert await query(url, "SELECT 1") == [1]


async def test_data_of_another_major_version_is_left_alone(directory: Path) -> None:
    async with running(directory):
        pass
    stamp = directory / "postgres" / "data" / "PG_VERSION"
    stamp.write_text("17\n")
    with pytest.raises(EmbeddedError, match=r"PostgreSQL 17.* brings 18.* Dump"):
        await EmbeddedPostgres(directory).start()


async def test_a_server_that_cannot_start_says_why_and_what_next(directory: Path) -> None:
    async with running(directory):
        pass
    (directory / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match="pg_control") as failed:
        await EmbeddedPostgres(directory).start()
    assert "Restore a backup" in str(failed.value)
    assert str(directory / "postgres.log") in str(failed.value)


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedError, match="file"):
        await EmbeddedPostgres(tmp_path / "file" / ".regie").start()


async def test_a_long_log_is_cut_at_the_next_start(directory: Path) -> None:
    directory.mkdir()
    log = directory / "postgres.log"
    log.write_text("old\n" * 2_000_000)
    async with running(directory):
        assert log.stat().st_size < 2_000_000
        assert log.read_text().startswith("old")


@as_root
async def test_below_a_folder_that_only_root_may_enter(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    async with running(closed / ".regie") as (postgres, url):
        assert await query(url, "SELECT 1") == [1]
        assert psutil.Process(postgres.pid).uids().effective != 0
    assert {mode(directory), mode(closed)} == {0o700}


@as_root
async def test_a_copy_that_root_restored(directory: Path, tmp_path: Path) -> None:
    async with running(directory) as (_, url):
        await query(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    copy = tmp_path / "restored"
    shutil.copytree(directory, copy)
    (copy / "postgres" / "data").chmod(0o755)
    async with running(copy) as (_, url):
        assert await query(url, "SELECT n FROM kept") == [7]


@as_root
async def test_a_folder_of_someone_elses_is_refused(directory: Path) -> None:
    (directory / "postgres").mkdir(parents=True)
    os.chown(directory / "postgres", 54321, 54321)
    with pytest.raises(EmbeddedError, match="not a folder of the user"):
        await EmbeddedPostgres(directory).start()


@as_root
async def test_programs_where_only_root_may_enter_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = choose(tmp_path, tmp_path / "data")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    tree = find(account).root
    shutil.copytree(tree, closed / tree.parent.name / tree.name)
    (closed / tree.parent.name / "__init__.py").touch()
    monkeypatch.syspath_prepend(closed)
    with tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        copy = find(account, [Path(cache)])
        assert copy.root.is_relative_to(cache)
        assert find(account, [Path(cache)]) == copy
        told = subprocess.run(
            [copy.postgres, "--version"], user=account.user, capture_output=True, check=True
        )
        assert b"PostgreSQL" in told.stdout
    assert mode(closed) == 0o700
