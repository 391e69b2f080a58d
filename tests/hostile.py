"""URLs that lead where they must not, or nowhere: as a subscription, a policy or a message might
say them. Every one is refused when it is given, and never connected to.
"""

from __future__ import annotations

from typing import Final

# An address of ours, of a neighbour or of a cloud's own services, in the writings of IPv4.
IPV4: Final = (
    "http://127.0.0.1/", "http://127.0.0.1:6379/", "http://127.0.0.1:443/", "http://127.1/",
    "http://127.0.1/", "http://2130706433/", "http://017700000001/", "http://0177.0.0.1/",
    "http://0177.1/", "http://00000177.0.0.1/", "http://0x7f000001/", "http://0X7F000001/",
    "http://0x7f.1/", "http://0x7f.0x0.0x0.0x1/", "http://0x00000000000000007f000001/",
    "http://127.0.0x1/", "http://127.000.000.001/", "http://127.0.0.1./", "http://127.0.0.1../",
    "http://2130706433./", "http://127.255.255.254/", "http://0/", "http://00/", "http://0x0/",
    "http://0.0.0.0/", "http://0.0.0.0:80/", "http://0.1.2.3/", "http://10.0.0.1:22/",
    "http://10.1/", "http://167772161/", "http://172.16.0.1/", "http://172.31.255.255/",
    "http://192.168.0.1/", "http://3232235521/", "http://100.64.0.1/", "http://192.0.0.1/",
    "http://198.18.0.1/", "http://192.88.99.1/", "http://224.0.0.1/", "http://255.255.255.255/",
    "http://240.0.0.1/",
)  # fmt: skip
METADATA: Final = (
    "http://169.254.169.254/latest/meta-data/", "http://169.254.169.254./", "http://2852039166/",
    "http://0xa9fea9fe/", "http://0xA9.0xFE.0xA9.0xFE/", "http://0251.0376.0251.0376/",
    "http://169.254.43518/", "http://169.16689662/", "http://169.254.170.2/v2/credentials",
    "http://169.254.170.23/v1/credentials", "http://169.254.0.23/", "http://100.100.100.200/",
    "http://168.63.129.16/machine?comp=goalstate", "http://192.0.0.192/opc/v2/",
    "http://[fd00:ec2::254]/latest/meta-data/", "http://[fd00:0ec2:0::0254]/",
    "http://[fd00:ec2::23]/v1/credentials", "http://[fd20:ce::254]/computeMetadata/v1/",
    "http://[fd00:c1::a9fe:a9fe]/opc/v2/", "http://[fd00:42::42]/",
    "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/", "http://[::a9fe:a9fe]/",
    "http://[64:ff9b::169.254.169.254]/", "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/", "http://[2001:0:a9fe:a9fe::1]/",
    "http://[2606:4700::5efe:a9fe:a9fe]/", "http://[::ffff:100.100.100.200]/",
    "http://metadata/", "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.GOOGLE.INTERNAL./", "http://instance-data.ec2.internal/",
)  # fmt: skip
IPV6: Final = (
    "http://[::1]/", "http://[::1]:8443/", "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]/", "http://[::]/", "http://[0:0::]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:7f00:1]/",
    "http://[::ffff:0a00:0001]/", "http://[::127.0.0.1]/", "http://[::7f00:1]/",
    "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/", "http://[2002:a00:1::1]/", "http://[2001:0:7f00:1::]/",
    "http://[2001:0:101:101::80ff:fffe]/", "http://[2606:4700::5efe:127.0.0.1]/",
    "http://[2606:4700::200:5efe:a00:1]/", "http://[fe80::5efe:127.0.0.1]/", "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1%25lo]/", "http://[::1%lo]/",
    "http://[::ffff:127.0.0.1%25eth0]/", "http://[fc00::1]/", "http://[fdff::1]/",
    "http://[fec0::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/", "http://[3fff::1]/",
    "http://[100::1]/", "http://[5f00::1]/",
    "http://[::ffff:0177.0.0.1]/", "http://[v1.127.0.0.1]/", "http://[127.0.0.1]/",
    "http://[::1/", "http://::1/", "http://[::1]extra/", "http://[::1]:80extra/",
    "http://::ffff:127.0.0.1/",
)  # fmt: skip
# Letters and digits that become others on the way, and what hides between them.
DISGUISED: Final = (
    "http://①②⑦.⓪.⓪.①/", "http://⑯⑨。②⑤④。⑯⑨｡②⑤④/", "http://１２７.０.０.１/",
    "http://127。0。0。1/", "http://127｡0｡0｡1/", "http://127．0．0．1/",
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/", "http://١٢٧.٠.٠.١/",
    "http://127.0.0.1\u0660/", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://localhost。/",
    "http://loc\u00adalhost/", "http://loca\u2060lhost/", "http://\ufe0flocalhost/",
    "http://LOCALHO\u017fT/", "http://ʟocalhost/", "http://\u212aubernetes.local/",
    "http://ﬁle.internal/", "http://desk\u3002internal/", "http://xn--localhost-/",
    "http://\u202e127.0.0.1/", "http://127.0.0.1\u200b/",
    "http://loc%61lhost/", "http://%31%32%37.0.0.1/", "http://127%2e0%2e0%2e1/",
    "http://127.0.0.1%00.example.org/", "http://127.0.0.1%0a.example.org/",
    "http://127.0.0.1%20/", "http://127.0.0.1%23.example.org/",
)  # fmt: skip
NAMES: Final = (
    "http://localhost/", "http://LOCALHOST/", "http://localhost./", "http://localhost../",
    "http://localhost:443/", "http://localhost.localdomain/", "http://localhost6/",
    "http://ip6-localhost/", "http://a.b.localhost/", "http://printer/", "http://desk.internal/",
    "http://desk.INTERNAL./", "http://desk.local/", "http://router.lan/", "http://nas.home.arpa/",
    "http://db.corp/", "http://wiki.intranet/", "http://kubernetes.default.svc/",
    "http://kubernetes.default.svc.cluster.local/", "http://host.docker.internal/",
    "http://hidden.onion/", "http://some.test/", "http://some.invalid/",
    "http://a..example.org/", "http://.example.org/", "http://-/", "http://4294967297/",
    "http://1.2.3.4.5/", "http://999.1.1.1/", "http://127.0.0.256/", "http://0x/",
    "http://hooks.example.0x7f/", "http://" + "a" * 64 + ".example.org/",
    "http://" + "a." * 130 + "example.org/",
)  # fmt: skip
# Who reads which part as the host, and whether two readers agree.
SPLIT: Final = (
    "http://user:pass@127.0.0.1/", "http://example.org@127.0.0.1/", "http://127.0.0.1:80#@a.b/",
    "http://127.0.0.1?@example.org/", "http://127.0.0.1#@example.org/",
    "http://example.org\\@127.0.0.1/", "http://127.0.0.1\\.example.org/",
    "http://1.1.1.1&@127.0.0.1/", "http://1.1.1.1 &@127.0.0.1# @3.3.3.3/",
    "http://a@b@127.0.0.1/", "http:\\\\127.0.0.1/", "http:/\\127.0.0.1/", "http:127.0.0.1/",
    "http:///127.0.0.1/", "http:///nowhere", "http://", "http:///", "//127.0.0.1/", "127.0.0.1",
    " http://127.0.0.1/", "http:// 127.0.0.1/", "http://127.0.0.1 /", "http://127.0.0.1\t/",
    "http://127.0.0.1\n/", "http://127.0.0.1\r\nHost: x/", "http://exam\tple.org/",
    "http://exam\nple.org/", "http://hooks.example.org/\r\nX-Y: z", "\x00http://127.0.0.1/",
    "http://127.0.0.1\x00.example.org/", "http://hooks.example.org:0/", "http://127.0.0.1:0/",
    "http://hooks.example.org:65536/", "http://hooks.example.org:99999/",
    "http://hooks.example.org:-1/", "http://hooks.example.org:80:81/",
    "http://hooks.example.org:port/",
)  # fmt: skip
SCHEMES: Final = (
    "file:///etc/passwd", "FILE:///etc/passwd", "gopher://127.0.0.1:6379/_x", "data:text/plain,x",
    "javascript:alert(1)", "dict://127.0.0.1:11211/", "ldap://127.0.0.1/", "ftp://example.org/",
    "ws://hooks.example.org/", "wss://hooks.example.org/", "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "jar:http://127.0.0.1!/", "ssh://127.0.0.1/",
)  # fmt: skip
HOSTILE: Final = (*IPV4, *METADATA, *IPV6, *DISGUISED, *NAMES, *SPLIT, *SCHEMES)
