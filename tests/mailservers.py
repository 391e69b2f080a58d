"""Dovecot and Exim from Debian, started for the tests: a provider's mailbox and its mail server.

async with MailServers() as servers:
    servers.imap.port, servers.imaps_port       the mailboxes of PEOPLE, password PASSWORD
    servers.submission_port                     SMTP with login; STARTTLS is offered
    servers.token                               the one that Exim takes by XOAUTH2 (Dovecot: any)
    servers.room_port                           where mail for room.test goes by LMTP: to Regie
    servers.certificate                         the file a client has to trust

Exim hands every mail to Dovecot by LMTP. What Dovecot refuses Exim sends back to its sender, as it
would in the world: the bounces are real ones.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from imapclient import IMAPClient
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.e2e.process import free_port
from tests.waiting import until

T = TypeVar("T")

PASSWORD = "s3cret"
TOKEN_KEY = "the-key-that-signs-access-tokens-in-tests"
SHOP, JAN, EVA = "support@shop.test", "jan@home.test", "eva@home.test"
PEOPLE = (SHOP, JAN, EVA)

_DOVECOT_PARTS = ("/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot")
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


@functools.cache
def missing() -> str | None:
    """What this machine lacks to run them; None when nothing."""
    lacking = [name for name in ("dovecot", "exim4") if _program(name) is None]
    if not any(Path(folder, "lmtp").exists() for folder in _DOVECOT_PARTS):
        lacking.append("LMTP for dovecot")
    if not lacking:
        # Dovecot starts for anybody.
        return None if os.geteuid() == 0 else "Exim runs as a daemon for root alone: be root"
    return (
        f"there is no {' and no '.join(lacking)} here; on Debian or Ubuntu: "
        "apt-get install dovecot-imapd dovecot-lmtpd exim4-daemon-light"
    )


def access_token(user: str, *, key: str = TOKEN_KEY, seconds: int = 3600) -> str:
    """What both servers take by XOAUTH2, for so long."""
    now = datetime.now(UTC)
    claims = {"sub": user, "iat": now, "exp": now + timedelta(seconds=seconds)}
    return jwt.encode({"alg": "HS256", "kid": "tests"}, claims, OctKey.import_key(key))


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_PLACES)))


@asynccontextmanager
async def running_mail_servers() -> AsyncIterator[MailServers]:
    folder = Path(tempfile.mkdtemp(prefix="regie-mail-"))
    folder.chmod(0o711)  # started by root, they run as users who have to get through here
    servers = MailServers(folder)
    try:
        await servers.start()
        yield servers
    finally:
        await servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Process:
    """One server. It is ended by its own id, with whatever it started."""

    command: tuple[str, ...]
    port: int
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        await until(self._answers)

    async def _answers(self) -> bool:
        assert self.process is not None
        if self.process.returncode is not None:
            raise AssertionError(f"{self.command[0]} ended: {self.log.read_text()[-2000:]}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), 3)
        with suppress(ProcessLookupError):  # what it started, and perhaps itself
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


@dataclass
class MailServers:
    """Both servers. `imap` and `smtp` may be stopped and started again by a test of their own."""

    folder: Path
    imap_port: int = field(default_factory=free_port)
    imaps_port: int = field(default_factory=free_port)
    lmtp_port: int = field(default_factory=free_port)
    submission_port: int = field(default_factory=free_port)
    submissions_port: int = field(default_factory=free_port)
    room_port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: access_token(SHOP))
    imap: _Process = field(init=False)
    smtp: _Process = field(init=False)

    def __post_init__(self) -> None:
        dovecot, exim = _program("dovecot") or "dovecot", _program("exim4") or "exim4"
        logs = self.folder / "dovecot.log", self.folder / "exim.log"
        dovecot_file, exim_file = self.folder / "dovecot.conf", self.folder / "exim.conf"
        self.imap = _Process((dovecot, "-F", "-c", str(dovecot_file)), self.imap_port, logs[0])
        self.smtp = _Process((exim, "-bdf", "-q2s", "-C", str(exim_file)), self.submission_port,
                             logs[1])  # fmt: skip

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def mail_folder(self, person: str) -> Path:
        """A mailbox as it lies on disk (maildir)."""
        return self.folder / "mail" / person

    async def start(self) -> None:
        self._certify()
        mail, spool = self.folder / "mail", self.folder / "spool"
        mail.mkdir()
        spool.mkdir()
        shutil.chown(mail, "mail", "mail")
        shutil.chown(spool, "Debian-exim", "Debian-exim")
        users = "".join(f"{person}:{{PLAIN}}{PASSWORD}::::::\n" for person in PEOPLE)
        self._write("users", users)
        keys = self.folder / "keys" / "default" / "HS256"
        keys.mkdir(parents=True)
        (keys / "tests").write_bytes(base64.b64encode(TOKEN_KEY.encode()))
        self._write("oauth2.conf", self._oauth2())
        self._write("dovecot.conf", self._dovecot())
        self._write("exim.conf", self._exim())
        await asyncio.gather(self.imap.start(), self.smtp.start())

    async def stop(self) -> None:
        await asyncio.gather(self.imap.stop(), self.smtp.stop())

    def log(self) -> str:
        return "".join(each.read_text(errors="replace") for each in self.folder.glob("*.log"))

    def _write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.write_text(text)
        file.chmod(0o644)  # Exim refuses one that others may write to

    def _certify(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail servers of the tests")])
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.certificate.write_bytes(certificate.public_bytes(pem))
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "key.pem").write_bytes(private)
        (self.folder / "key.pem").chmod(0o644)  # of a certificate that nobody trusts

    def _oauth2(self) -> str:
        return (
            "introspection_mode = local\nusername_attribute = sub\n"
            f"local_validation_key_dict = fs:posix:prefix={self.folder}/keys/\n"
        )

    def _dovecot(self) -> str:
        return _DOVECOT.format(
            folder=self.folder, imap=self.imap_port, imaps=self.imaps_port, lmtp=self.lmtp_port
        )

    def _exim(self) -> str:
        return _EXIM.format(
            folder=self.folder, submission=self.submission_port, lmtp=self.lmtp_port,
            submissions=self.submissions_port, room=self.room_port, password=PASSWORD, shop=SHOP,
            token=self.token,
        )  # fmt: skip


class Lying(NamedTuple):
    """A mail as it lies in a mailbox."""

    uid: int
    flags: frozenset[str]
    raw: bytes


@dataclass(frozen=True)
class Postbox:
    """A folder of a mailbox, as any mail program sees it; made at the first use."""

    servers: MailServers
    folder: str = "INBOX"
    person: str = SHOP

    async def put(self, raw: bytes, flags: Sequence[str] = (), at: datetime | None = None) -> None:
        await self._with(lambda client: client.append(self.folder, raw, flags, at))

    async def mails(self) -> list[Lying]:
        """All of them, in order, and nothing is changed by looking."""

        def look(client: IMAPClient) -> list[Lying]:
            client.select_folder(self.folder, readonly=True)
            found = client.fetch(client.search(), ["FLAGS", "BODY.PEEK[]"])
            return [
                Lying(
                    uid,
                    frozenset(flag.decode() for flag in data[b"FLAGS"]) - {"\\Recent"},
                    data[b"BODY[]"],
                )
                for uid, data in sorted(found.items())
            ]

        return await self._with(look)

    async def flag(self, flags: Sequence[str], *, remove: bool = False) -> None:
        """Sets (or takes) flags of all mails."""

        def change(client: IMAPClient) -> None:
            client.select_folder(self.folder)
            act = client.remove_flags if remove else client.add_flags
            act(client.search(), flags)

        await self._with(change)

    async def empty(self) -> None:
        def expunge(client: IMAPClient) -> None:
            client.select_folder(self.folder)
            client.delete_messages(client.search())
            client.expunge()

        await self._with(expunge)

    def forget_ids(self, *, marks: bool) -> None:
        """The mail server loses its index, as in a restore: a new UIDVALIDITY, other uids; with
        `marks` no keyword and no \\Seen is left either. Nobody may be connected."""
        folder = self.servers.mail_folder(self.person)
        if self.folder != "INBOX":
            folder /= f".{self.folder}"
        for file in folder.glob("dovecot*"):
            if file.is_file() and (marks or not file.name.startswith("dovecot-keywords")):
                file.unlink()
        for file in (folder / "cur").iterdir() if marks else ():
            file.rename(folder / "new" / file.name.partition(":")[0])

    async def _with(self, act: Callable[[IMAPClient], T]) -> T:
        def work() -> T:
            with IMAPClient("127.0.0.1", self.servers.imap_port, ssl=False, timeout=20) as client:
                client.login(self.person, PASSWORD)
                if not client.folder_exists(self.folder):
                    client.create_folder(self.folder)
                return act(client)

        return await asyncio.to_thread(work)


# auth_failure_delay, anvil-auth-penalty: a refused login is answered at once, for tests try some.
_DOVECOT = """
protocols = imap lmtp
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
instance_name = regie-tests
listen = 127.0.0.1
first_valid_uid = 0
first_valid_gid = 0
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
ssl = yes
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/key.pem
ssl_dh =
mail_location = maildir:{folder}/mail/%u
mail_uid = mail
mail_gid = mail
mail_max_userip_connections = 100
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = username_format=%u {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""

_EXIM = """
primary_hostname = mx.test
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
pid_file_path = {folder}/spool/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {submission} : {submissions}
tls_on_connect_ports = {submissions}
tls_advertise_hosts = *
tls_certificate = {folder}/certificate.pem
tls_privatekey = {folder}/key.pem
smtputf8_advertise_hosts = *
message_size_limit = 2M
keep_environment =
deliver_drop_privilege = true
qualify_domain = shop.test
acl_smtp_rcpt = rcpt
rfc1413_query_timeout = 0s

begin acl
rcpt:
  deny message = 5.7.1 Not one of our senders
       senders = stranger@shop.test
  accept authenticated = *
         control = submission/sender_retain
  accept domains = shop.test : room.test
  deny message = 5.7.1 Relaying needs a login

begin routers
room:
  driver = manualroute
  domains = room.test
  route_list = * 127.0.0.1
  transport = room
  self = send

mailboxes:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = mailboxes
  self = send

begin transports
room:
  driver = smtp
  protocol = lmtp
  port = {room}
  allow_localhost
  hosts_avoid_tls = *

mailboxes:
  driver = smtp
  protocol = lmtp
  port = {lmtp}
  allow_localhost
  hosts_avoid_tls = *

begin retry
* * F,1h,1s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq{{$auth2}}{{{shop}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2

xoauth2:
  driver = plaintext
  public_name = XOAUTH2
  server_prompts = :
  server_condition = ${{if eq {{$auth1}}{{user={shop}\\x01auth=Bearer {token}\\x01\\x01}}}}
  server_set_id = {shop}
"""
